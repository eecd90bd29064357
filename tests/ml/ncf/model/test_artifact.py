from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from ml.ncf.model import artifact


def test_artifact_without_a_family_is_read_as_ncf(model_dir: Path, tmp_path: Path) -> None:
    """Artifacts written before there was a second family have no such field."""
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    info = json.loads((folder / "model.json").read_text())
    del info["family"]
    (folder / "model.json").write_text(json.dumps(info))
    old, new = artifact.read(folder).model, artifact.read(model_dir).model
    users = torch.arange(5)
    assert torch.equal(old.score_catalogue(users), new.score_catalogue(users))


def test_artifact_of_an_unknown_family_is_refused(model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    info = json.loads((folder / "model.json").read_text()) | {"family": "svd"}
    (folder / "model.json").write_text(json.dumps(info))
    with pytest.raises(artifact.ArtifactError, match="model family 'svd' is unknown"):
        artifact.read(folder)
