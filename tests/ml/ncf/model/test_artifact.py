from __future__ import annotations

import io
import json
import shutil
import tarfile
from itertools import permutations
from pathlib import Path

import pytest
import torch

from ml.ncf.model import artifact, checksums
from ml.ncf.model.finite import NotFiniteError, require_finite_weights
from tests.ml.ncf.model.earlier import without_checksums
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
    folder = without_checksums(model_dir, tmp_path / "model")
    weights = torch.load(folder / "weights.pt", weights_only=True)
    weights["gmf.item_embedding.weight"][3, 1] = torch.nan
    torch.save(weights, folder / "weights.pt")
    with pytest.raises(artifact.ArtifactError, match=r"cannot be loaded: 1 of .* are not finite"):
        artifact.read(folder)


def saved(content: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"text", saved({"path": Path("x")}), saved({"gmf.output": torch.ones(3)})],
    ids=["empty", "text", "other object", "other model"],
)
@pytest.mark.parametrize("name", ["weights.pt", "session.pt"])
def test_damaged_file_is_refused_and_named(
    model_dir: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    folder = without_checksums(model_dir, tmp_path / "model")
    (folder / name).write_bytes(content)
    with pytest.raises(artifact.ArtifactError, match=rf"{name}: .* cannot be loaded: [^\n]+$"):
        artifact.read(folder)


def changed(content: bytes, place: float) -> bytes:
    """The content with one other bit."""
    found = bytearray(content)
    found[min(int(place * len(content)), len(content) - 1)] ^= 0x10
    return bytes(found)


FILES = ("weights.pt", "arrays/popularity.npy", "arrays/user_ids_text.npy", "arrays/seen_indices.npy")


@pytest.mark.parametrize("name", FILES)
def test_every_damage_to_a_file_is_refused_in_one_line_that_names_it(
    model_dir: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    original = (folder / name).read_bytes()
    half = len(original) // 2
    damages = {
        "truncated or damaged": [original[:half], original[:-1], original + b"x", b""],
        "damaged: its checksum is not": [
            *(changed(original, place) for place in (0.0, 0.3, 0.5, 0.9, 1.0)),
            original[:half] + bytes(len(original) - half),  # a hole in the file
        ],
    }
    for message, contents in damages.items():
        for content in contents:
            (folder / name).write_bytes(content)
            with pytest.raises(artifact.ArtifactError, match=rf"{name}: {message}[^\n]*$"):
                artifact.read(folder)
    (folder / name).unlink()
    with pytest.raises(artifact.ArtifactError, match=rf"{name}: cannot be read: [^\n]*$"):
        artifact.read(folder)
    (folder / name).write_bytes(original)
    assert artifact.read(folder).model is not None


def test_checksum_sees_blocks_that_changed_places(tmp_path: Path) -> None:
    blocks = [bytes([number]) * 2**20 for number in range(3)]
    found = set()
    for number, order in enumerate(permutations(blocks)):
        path = tmp_path / str(number)
        path.write_bytes(b"".join(order) + b"end")
        found.add(checksums.checksum(path))
    assert len(found) == 6


def test_artifact_of_an_earlier_version_has_no_checksums(model_dir: Path, tmp_path: Path) -> None:
    assert artifact.read(without_checksums(model_dir, tmp_path / "model")).model is not None


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8], ids=str)
def test_archive_with_a_changed_byte_is_refused(tmp_path: Path, place: float) -> None:
    (tmp_path / "weights.pt").write_bytes(torch.rand(10_000).numpy().tobytes())
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(tmp_path / "weights.pt", arcname="weights.pt")
    content = bytearray(archive.read_bytes())
    content[int(len(content) * place)] ^= 0x10
    archive.write_bytes(content)
    with pytest.raises(artifact.ArtifactError, match=r"model\.tar\.gz: cannot be unpacked"):
        artifact.unpack(archive, tmp_path / "out")


def test_artifact_of_an_unknown_family_is_refused(model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    info = json.loads((folder / "model.json").read_text()) | {"family": "svd"}
    (folder / "model.json").write_text(json.dumps(info))
    with pytest.raises(artifact.ArtifactError, match="model family 'svd' is unknown"):
        artifact.read(folder)


def test_loaded_weights_are_not_initialised_before(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("initialised: this imports torch._dynamo")

    for name in ("normal_", "uniform_"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    assert artifact.read(model_dir).model is not None


def test_every_weight_that_is_not_finite_is_found(model_dir: Path) -> None:
    model = artifact.read(model_dir).model
    assert model is not None
    for name, tensor in model.state_dict().items():
        before = tensor.flatten()[-1].item()
        tensor.view(-1)[-1] = float("inf")
        with pytest.raises(NotFiniteError, match=f"1 of {tensor.numel()} values of {name} are not finite"):
            require_finite_weights(model)
        tensor.view(-1)[-1] = before
