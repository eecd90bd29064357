"""Models with other weights, loaded and in the archive of a candidate."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import torch

from ml.ncf.model import artifact, checksums


def change_weights(job_input: Path, name: str, change: Callable[[torch.Tensor], None]) -> None:
    """Change one weight, in place, in the candidate's archive, as if training had led to it."""
    archive, folder = job_input / "model/model.tar.gz", job_input / "unpacked"
    artifact.unpack(archive, folder)
    weights = torch.load(folder / "weights.pt", weights_only=True)
    change(weights[name])
    torch.save(weights, folder / "weights.pt")
    info = json.loads((folder / "model.json").read_text())
    info["checksums"] |= checksums.describe(folder, ["weights.pt"])
    (folder / "model.json").write_text(json.dumps(info))
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=".")


def diverged(model_dir: Path, value: float) -> artifact.Artifact:
    """The model with one item's weights so large, or undefined, that its scores are not finite."""
    model = artifact.read(model_dir)
    with torch.no_grad():
        model.model.gmf.item_embedding.weight[7] = value
    return model
