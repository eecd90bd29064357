from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from ml.ncf.model import artifact
from tests.repository import ROOT


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


def test_loss_of_an_untrained_fused_model_is_null(model_dir: Path) -> None:
    info = json.loads((model_dir / "model.json").read_text(), parse_constant=pytest.fail)  # NaN is not JSON
    assert info["metrics"]["epoch"] == 0
    assert info["metrics"]["loss"] is None


@pytest.mark.parametrize("loss", ["null", "NaN"])
def test_null_and_nan_are_read_as_none(model_dir: Path, tmp_path: Path, loss: str) -> None:
    """Earlier artifacts have NaN in model.json."""
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    text = (folder / "model.json").read_text()
    assert '"loss": null' in text
    (folder / "model.json").write_text(text.replace('"loss": null', f'"loss": {loss}'))
    loaded = artifact.read(folder)
    assert loaded.info["metrics"]["loss"] is None
    assert loaded.model is not None


def test_nan_is_not_written(model_dir: Path, tmp_path: Path) -> None:
    loaded = artifact.read(model_dir)
    info = {"model_version": "x", "metrics": {"loss": float("nan")}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifact.write(tmp_path / "model", loaded.model, loaded.data, info, ROOT)
    assert not (tmp_path / "model/model.json").exists()


def test_artifact_of_an_unknown_family_is_refused(model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    info = json.loads((folder / "model.json").read_text()) | {"family": "svd"}
    (folder / "model.json").write_text(json.dumps(info))
    with pytest.raises(artifact.ArtifactError, match="model family 'svd' is unknown"):
        artifact.read(folder)
