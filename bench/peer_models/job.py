"""One training of a recommender: a trial of the search, validated, or the final one, whose scores are kept.

A job reads the rows it is given and never the test rows: the process that compares has those.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.peer_models.peer import OutOfTime, Rows, Scorer, Training
from bench.peer_models.registry import PEERS
from ml.ncf.evaluation import metrics
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.settings.metrics import CUTOFF

KIB_PER_MIB = 1024
USERS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class Job:
    """Training of a recommender in another process, in values that JSON can hold.

    Attributes:
        peer: name in the registry.
        rows: .npz with `users`, `items`, `n_users`, `n_items`; for a trial also `ranked_users` (C,) and
            `ranked_items` (C, 1 + N), the validation item first, and `n_negatives` (C,), the items after it
            that are ranked.
        values: values of the recommender's space.
        seed: seed of all random numbers.
        epochs: epochs of the final training; None: validated after each epoch, a trial.
        cpu_limit_s: CPU time of a trial, which is then judged by its best epoch so far.
        output: file of the result; the scores of a final training are beside it, with the suffix .npy.
    """

    peer: str
    rows: str
    values: Mapping[str, Any]
    seed: int
    is_trial: bool
    epochs: int | None
    cpu_limit_s: float
    output: str


class Validation:
    """Validation NDCG of a scorer, and the best epoch of a trial."""

    def __init__(self, path: Path, cpu_limit_s: float) -> None:
        with np.load(path) as arrays:
            self._pairs = EvaluationSet(
                *(torch.from_numpy(arrays[name]) for name in ("ranked_users", "ranked_items", "n_negatives"))
            )
        self._end = time.process_time() + cpu_limit_s
        self.epochs = 0
        self.best_epoch = 0
        self.best: dict[str, float] = {}

    def after_epoch(self, scorer: Scorer) -> float:
        """Rank the validation items; returns NDCG.

        Raises:
            OutOfTime: the time of the trial is used up.
        """
        self.epochs += 1
        scores = torch.from_numpy(scorer.ranked(self._pairs.users.numpy(), self._pairs.items.numpy()))
        found = metrics.quality(self._pairs.masked(scores), CUTOFF)
        ndcg = found[f"ndcg_at_{CUTOFF}"]
        if not self.best or ndcg > self.best[f"ndcg_at_{CUTOFF}"]:
            self.best, self.best_epoch = found, self.epochs
        if time.process_time() > self._end:
            raise OutOfTime
        return ndcg


def run(job: Job) -> None:
    """Train, and write the result."""
    torch.manual_seed(job.seed)
    peer = PEERS[job.peer].load()
    path = Path(job.rows)
    with np.load(path) as arrays:
        rows = Rows(arrays["users"], arrays["items"], int(arrays["n_users"]), int(arrays["n_items"]))
    validation = Validation(path, job.cpu_limit_s) if job.is_trial else None
    with tempfile.TemporaryDirectory() as workspace:
        began, cpu_began = time.perf_counter(), time.process_time()
        training = Training(
            values=job.values,
            seed=job.seed,
            workspace=Path(workspace),
            epochs=job.epochs,
            after_epoch=validation.after_epoch if validation else None,
        )
        scorer = peer.train(rows, training)
        result: dict[str, Any] = {
            "values": dict(job.values),
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - cpu_began,
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB,
        }
    output = Path(job.output)
    if validation is None:
        blocks = np.array_split(np.arange(rows.n_users), -(-rows.n_users // USERS_AT_ONCE))
        np.save(output.with_suffix(".npy"), np.concatenate([scorer.catalogue(users) for users in blocks]))
    else:
        if not validation.epochs:  # a model without epochs
            with suppress(OutOfTime):
                validation.after_epoch(scorer)
        result |= {"epochs": validation.best_epoch, "validation": validation.best}
    output.write_text(json.dumps(result), encoding="utf-8")
