"""Benchmark of the quality gate: how often it rejects a model that differs only by seed, and a worse one.

    python bench/gate.py --data ../shared/data/ml-100k --seeds 15 --cache build/gate --json out.json

The folder holds `u.data` (user, item, rating, Unix time). The newest item of each user is held out for the
test and the one before it for the validation; a model is trained per seed with the preset `gmf`. Every
ordered pair of models is a champion and a candidate, decided by the code and the thresholds of the stages
(without floors). Then each candidate is made worse: noise is added to its scores, so much that the mean of
its NDCG@10 over all seeds falls by 0.02. Each is repeated with the users drawn anew for each pair, which
adds the noise of the users that another day would have. Scores of a training are kept in `--cache`: delete
the folder after a change of the training.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
import yaml
from torch import Tensor

from ml.contract import N_TEST_NEGATIVES
from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation.catalogue import CatalogueSet
from ml.ncf.evaluation.comparison import Comparison
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.evaluation.expected_metrics import expected_values
from ml.ncf.evaluation.gate import decide
from ml.ncf.training.plan import training_plan
from ml.ncf.training.runner import run_plan
from ml.ncf.training.training_data import TrainingData
from ml.settings import hyperparameters
from ml.settings.gate import GateSettings
from ml.settings.metrics import CUTOFF

ROOT = Path(__file__).resolve().parents[1]
PRESET = "gmf"
LOSS = 0.02  # of NDCG@10, that has to be noticed
NDCG = f"ndcg_at_{CUTOFF}"


@dataclass(frozen=True, eq=False)
class Split:
    """Leave-last-two-out split of a file of events; ties in time are broken at random."""

    train: Interactions
    validation: Interactions
    test: Interactions

    @classmethod
    def of(cls, path: Path) -> Split:
        raw = np.loadtxt(path, dtype=np.int64)[:, [0, 1, 3]]
        events = raw[np.lexsort((np.random.default_rng(0).random(len(raw)), raw[:, 2], raw[:, 0]))]
        _, users = np.unique(events[:, 0], return_inverse=True)
        _, items = np.unique(events[:, 1], return_inverse=True)
        from_end = np.searchsorted(users, users, side="right") - np.arange(len(users))
        sizes = int(users.max()) + 1, int(items.max()) + 1
        train, validation, test = (
            Interactions.from_pairs(users[rows], items[rows], *sizes, events[rows, 2])
            for rows in (from_end > 2, from_end == 2, from_end == 1)
        )
        return cls(train, validation, test)

    @cached_property
    def pairs(self) -> CatalogueSet:
        """The test pairs, as the evaluation job ranks them for the gate."""
        known = self.train.union(self.validation)
        return CatalogueSet.sampled(self.test, known, np.random.default_rng(0))

    def validation_set(self, seed: int) -> EvaluationSet:
        """The validation pairs among sampled negatives."""
        known = self.train.union(self.validation)
        return EvaluationSet.sampled(self.validation, known, N_TEST_NEGATIVES, np.random.default_rng(seed))

    def values_of(self, scores: Tensor) -> dict[str, Tensor]:
        """Values of the gated metrics for each test pair."""
        ranks = self.pairs.rank(lambda users: scores[users], CUTOFF).ranks
        return expected_values(ranks, self.pairs.n_others, N_TEST_NEGATIVES, CUTOFF)


def scores_file(split: Split, seed: int, cache: Path) -> Path:
    """Cache file of the scores of a training; its name depends on the data, the preset and the seed."""
    digest = hashlib.sha256(json.dumps(hyperparameters.PRESETS[PRESET], sort_keys=True).encode())
    for pairs in (split.train, split.validation):
        for values in (pairs.indptr, pairs.indices, pairs.times):
            digest.update(values.tobytes())
    return cache / f"{PRESET}-{digest.hexdigest()[:12]}-seed-{seed}.npy"


def scores_of_seed(split: Split, seed: int, cache: Path) -> Tensor:
    """Scores of all users and items (U, I) after a training with the seed; from the cache if it has them."""
    path = scores_file(split, seed, cache)
    if not path.is_file():
        settings = hyperparameters.parse(["--preset", PRESET, "--seed", str(seed)])
        data = TrainingData(
            train=split.train, held_out=split.validation, validation=split.validation_set(seed)
        )
        trained = run_plan(training_plan(settings), data)
        cache.mkdir(parents=True, exist_ok=True)
        with torch.no_grad():
            scores = trained.model.eval().score_catalogue(torch.arange(split.train.n_users))
        np.save(path, scores.float().numpy())
        print(f"seed {seed}: validation NDCG@10 {trained.best.ndcg:.4f}", flush=True)
    return torch.from_numpy(np.load(path))


@dataclass(frozen=True, eq=False)
class Models:
    """Trained models, and the values of the gate's metrics for their test pairs."""

    split: Split
    scores: Sequence[Tensor]  # (U, I) each

    @cached_property
    def noise(self) -> list[Tensor]:
        """Noise that deviates as much as the scores; a different draw for each model."""
        rngs = [np.random.default_rng([1, number]) for number in range(len(self.scores))]
        return [
            each.std() * torch.from_numpy(rng.standard_normal(each.shape, dtype=np.float32))
            for rng, each in zip(rngs, self.scores, strict=True)
        ]

    def values(self, share_of_noise: float = 0.0) -> list[dict[str, Tensor]]:
        """Values per pair of each model, with noise added to its scores."""
        if not share_of_noise:
            return [self.split.values_of(each) for each in self.scores]
        noisy = zip(self.scores, self.noise, strict=True)
        return [self.split.values_of(each + share_of_noise * noise) for each, noise in noisy]

    def share_of_noise(self, loss: float) -> float:
        """Share of noise at which the mean NDCG@10 of the models is lower by `loss`, by bisection."""
        low, high, target = 0.0, 2.0, ndcg(self.values()) - loss
        for _ in range(14):
            middle = (low + high) / 2
            low, high = (middle, high) if ndcg(self.values(middle)) > target else (low, middle)
        return (low + high) / 2


def ndcg(values: Sequence[dict[str, Tensor]]) -> float:
    """Mean NDCG@10 of several models."""
    return float(np.mean([each[NDCG].mean().item() for each in values]))


def rejections(
    new: Sequence[dict[str, Tensor]],
    old: Sequence[dict[str, Tensor]],
    settings: GateSettings,
    *,
    resample_users: bool,
) -> dict[str, Any]:
    """Decisions over all ordered pairs of different seeds."""
    n_pairs = len(new[0][NDCG])
    changes, errors, rejected = [], [], []
    for number, (a, b) in enumerate(permutations(range(len(new)), 2)):
        rows = torch.arange(n_pairs)
        if resample_users:
            rows = torch.from_numpy(np.random.default_rng([2, number]).integers(0, n_pairs, n_pairs))
        values = {
            "model": {name: each[rows] for name, each in new[a].items()},
            "champion": {name: each[rows] for name, each in old[b].items()},
        }
        paired = Comparison(np.arange(n_pairs), values, seed=number)
        found = decide(paired.means(), paired, settings)
        difference = (values["model"][NDCG] - values["champion"][NDCG]).numpy()
        changes.append(difference.mean())
        errors.append(difference.std() / np.sqrt(n_pairs))
        rejected.append(not found["adopted"])
    return {
        "pairs": len(rejected),
        "rejected": float(np.mean(rejected)),
        "mean_change": float(np.mean(changes)),
        "deviation_of_change": float(np.std(changes)),
        "standard_error_of_users": float(np.mean(errors)),
    }


def stage_gate(stage: str) -> GateSettings:
    """Tolerance and confidence of a stage, without floors."""
    config = yaml.safe_load((ROOT / f"Pulumi.{stage}.yaml").read_text(encoding="utf-8"))["config"]
    training = config["ncf:training"]
    confidence = {name: training[name] for name in ("gate_confidence",) if name in training}
    floors = dict.fromkeys(training["floors"], 0.0)
    return GateSettings(floors=floors, tolerance=training["tolerance"], **confidence)


def measured(models: Models, settings: GateSettings) -> dict[str, Any]:
    """Rejections of each case, with the same users and with users drawn anew."""
    values = models.values()
    worse = models.values(models.share_of_noise(LOSS))
    cases: dict[str, Callable[[bool], dict[str, Any]]] = {
        "another seed": lambda again: rejections(values, values, settings, resample_users=again),
        f"worse by {LOSS}": lambda again: rejections(worse, values, settings, resample_users=again),
    }
    return {
        f"{name}, {'users drawn anew' if again else 'the same users'}": case(again)
        for name, case in cases.items()
        for again in (False, True)
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python bench/gate.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=15, help="number of trainings")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--stage", default="dev", help="stage whose thresholds are measured")
    parser.add_argument("--cache", type=Path, default=ROOT / "build/gate", help="scores of each training")
    parser.add_argument("--json", type=Path, help="file for the result")
    arguments = parser.parse_args(argv)
    split = Split.of(arguments.data / "u.data")
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    models = Models(split, [scores_of_seed(split, seed, arguments.cache) for seed in seeds])
    settings = stage_gate(arguments.stage)
    result = {
        "gate": json.loads(settings.to_json()),
        "ndcg_at_10": ndcg(models.values()),
        **measured(models, settings),
    }
    print(json.dumps(result, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
