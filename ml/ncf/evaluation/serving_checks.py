"""What serving makes of an artifact: recall of its index, and whether it fits the endpoint's instance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ml.contract import ARRAYS_FOLDER, INDEX_FOLDER, SESSION_FILE, WEIGHTS_FILE
from ml.ncf.model.artifact import Artifact
from ml.ncf.model.retrieval import best_items
from ml.settings.instance_types import serving_instance
from ml.settings.metrics import CUTOFF

MAX_USERS = 200  # whose lists are compared: 2,000 items, standard error of recall 0.99 about 0.002
BATCH = 20  # users per search
WANTED_RECALL = 0.99  # below, the report has a warning
MIB = 1 << 20
# Memory of a worker with Python, numpy, torch and faiss (docs/adr/0041: at most 286 MiB measured); what
# the system and TorchServe's JVM need.
WORKER_MIB = 300
SYSTEM_MIB = 1024


def retrieval_report(artifact: Artifact, rng: np.random.Generator) -> dict[str, Any]:
    """Share of the exact ten best unseen items that the lists of the endpoint contain.

    Args:
        artifact: with weights.
        rng: chooses the users.
    """
    model, data = artifact.model, artifact.data
    if model is None or data is None or artifact.retrieval is None:
        return {f"recall_at_{CUTOFF}": 1.0, "n_users": 0, "has_index": False}
    n_users = model.config.n_users
    users = np.sort(rng.choice(n_users, min(MAX_USERS, n_users), replace=False))
    n_same = n_all = 0
    for start in range(0, len(users), BATCH):
        part = torch.from_numpy(users[start : start + BATCH])
        seen = [data.seen(user) for user in part.tolist()]
        with torch.inference_mode():
            features = model.user_features(part)
            found = best_items(model, artifact.retrieval, features, seen, CUTOFF, users=part)
            exact = best_items(model, None, features, seen, CUTOFF, users=part)
        for (items, _), (wanted, _) in zip(found, exact, strict=True):
            n_same += len(np.intersect1d(items, wanted))
            n_all += len(wanted)
    return {
        f"recall_at_{CUTOFF}": n_same / n_all if n_all else 1.0,
        "n_users": len(users),
        "has_index": True,
    }


def serving_report(folder: Path, instance_type: str | None) -> dict[str, Any]:
    """Memory that the unpacked artifact needs on an instance with one worker per vCPU, and what is left.

    Weights, arrays and the order of the index are mapped once, and counted as if all of their pages were in
    memory; every worker has a copy of the codes. `free_mib` is 0 if the memory of the type is not known.
    """
    mapped = [
        folder / WEIGHTS_FILE,
        *(folder / ARRAYS_FOLDER).glob("*"),
        *(folder / INDEX_FOLDER).glob("*.npy"),
    ]
    copied = [folder / SESSION_FILE, *(folder / INDEX_FOLDER).glob("*.faiss")]
    shared_mib, worker_mib = _size_mib(mapped), _size_mib(copied) + WORKER_MIB
    report: dict[str, Any] = {
        "instance_type": instance_type,
        "shared_mib": shared_mib,
        "worker_mib": worker_mib,
        "system_mib": SYSTEM_MIB,
    }
    instance = serving_instance(instance_type) if instance_type else None
    if instance is None:
        return report | {"workers": None, "needed_mib": None, "memory_mib": None, "free_mib": 0}
    needed_mib = SYSTEM_MIB + shared_mib + instance.vcpus * worker_mib
    return report | {
        "workers": instance.vcpus,
        "needed_mib": needed_mib,
        "memory_mib": instance.memory_mib,
        "free_mib": instance.memory_mib - needed_mib,
    }


def warnings_of(retrieval: dict[str, Any], serving: dict[str, Any]) -> list[str]:
    """Warnings about a low recall, and about a model that does not fit its instance."""
    warnings = []
    recall = retrieval[f"recall_at_{CUTOFF}"]
    if recall < WANTED_RECALL:
        warnings.append(
            f"the index finds {recall:.1%} of the {CUTOFF} best items of users, below {WANTED_RECALL:.0%}"
        )
    if serving["free_mib"] < 0:
        warnings.append(
            f"the model needs {serving['needed_mib']} MiB with {serving['workers']} workers, and "
            f"{serving['instance_type']} has {serving['memory_mib']} MiB: write a larger instance_type"
        )
    if serving["instance_type"] and serving["memory_mib"] is None:
        warnings.append(f"the memory of {serving['instance_type']} is not known, and was not checked")
    return warnings


def _size_mib(files: list[Path]) -> int:
    return -(-sum(path.stat().st_size for path in files if path.is_file()) // MIB)
