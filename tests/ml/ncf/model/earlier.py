"""Artifacts as earlier versions wrote them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path


def without_checksums(model_dir: Path, folder: Path) -> Path:
    """Copy of an artifact, as earlier versions wrote it: what is wrong with a file is found by reading it."""
    shutil.copytree(model_dir, folder)
    info = json.loads((folder / "model.json").read_text())
    del info["checksums"]
    (folder / "model.json").write_text(json.dumps(info))
    return folder
