"""Bootstrap model artifact: the first model of an endpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping

from components.packing import tar_gz_bytes


def bootstrap_artifact(description: Mapping[str, object], code: Mapping[str, bytes]) -> bytes:
    """Deterministic ``model.tar.gz`` with serving code and no weights.

    Args:
        description: content of ``model.json``.
        code: serving sources by path inside ``code/``.
    """
    files = {f"code/{name}": content for name, content in code.items()}
    files["model.json"] = (json.dumps(dict(description), indent=2, sort_keys=True) + "\n").encode()
    return tar_gz_bytes(files)
