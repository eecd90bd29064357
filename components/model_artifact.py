"""The artifact of an endpoint that has no model yet."""

from __future__ import annotations

import json
from collections.abc import Mapping

from components.packing import tar_gz_bytes


def bootstrap_artifact(description: Mapping[str, object], code: Mapping[str, bytes]) -> bytes:
    """A model.tar.gz with code and no weights: the same bytes for the same input.

    Args:
        description: what ``model.json`` says.
        code: the serving sources by their path inside ``code/``.
    """
    files = {f"code/{name}": content for name, content in code.items()}
    files["model.json"] = (json.dumps(dict(description), indent=2, sort_keys=True) + "\n").encode()
    return tar_gz_bytes(files)
