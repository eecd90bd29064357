"""Write small Pulumi projects for tests."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import yaml

REGION = "ap-northeast-2"
TAGS = {"Owner": "recommendation", "Service": "ncf"}
HEADER = "import json\nimport pulumi\nimport pulumi_aws as aws\n"


def write_project(folder: Path, source: str, **config: object) -> Path:
    """Write a project with a `dev` stage whose program is the given source; return its folder."""
    (folder / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
    settings = {"aws:region": REGION, "aws:defaultTags": {"tags": TAGS}, **config}
    (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": settings}))
    (folder / "__main__.py").write_text(HEADER + dedent(source))
    return folder
