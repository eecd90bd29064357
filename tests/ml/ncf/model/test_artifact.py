from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from ml.ncf.model import artifact
from ml.ncf.model.finite import NotFiniteError
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


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weight_that_is_not_finite_is_not_written(value: float, model_dir: Path, tmp_path: Path) -> None:
    loaded = artifact.read(model_dir)
    with torch.no_grad():
        loaded.model.gmf.item_embedding.weight[3, 1] = value
    with pytest.raises(NotFiniteError, match=r"1 of \d+ values of gmf.item_embedding.weight are not finite"):
        artifact.write(tmp_path / "model", loaded.model, loaded.data, {"model_version": "x"}, ROOT)
    assert not (tmp_path / "model").exists()


def test_weight_that_is_not_finite_is_not_loaded(model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    weights = torch.load(folder / "weights.pt", weights_only=True)
    weights["gmf.item_embedding.weight"][3, 1] = torch.nan
    torch.save(weights, folder / "weights.pt")
    with pytest.raises(artifact.ArtifactError, match=r"cannot be loaded: 1 of .* are not finite"):
        artifact.read(folder)


def test_artifact_of_an_unknown_family_is_refused(model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    info = json.loads((folder / "model.json").read_text()) | {"family": "svd"}
    (folder / "model.json").write_text(json.dumps(info))
    with pytest.raises(artifact.ArtifactError, match="model family 'svd' is unknown"):
        artifact.read(folder)
