"""Small Pulumi projects in a folder."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import yaml

REGION = "ap-northeast-2"
TAGS = {"Owner": "recommendation", "Service": "ncf"}
HEADER = "import json\nimport pulumi\nimport pulumi_aws as aws\n"


def write_project(folder: Path, source: str, **config: object) -> Path:
    """A project with a `dev` stage whose program is the given source."""
    (folder / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
    whole = {"aws:region": REGION, "aws:defaultTags": {"tags": TAGS}, **config}
    (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": whole}))
    (folder / "__main__.py").write_text(HEADER + dedent(source))
    return folder
