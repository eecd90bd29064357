"""Benchmark of accuracy: HR@10 and NDCG@10 on the NCF paper's split and negatives, with time and memory.

    python bench/accuracy.py --data ../shared/data/ml-1m --seeds 3 --json out.json

The folder holds one NAME.train.tsv.gz (user, item; a header), NAME.test.rating (user, item, ...) and
NAME.test.negative.gz (`(user,item)` and its negatives). Each seed is trained in a separate process, from
arrays to the artifact. Validation is one random training row per user, unpopular items more often (the newest
rows of a user are less popular than the others, and this split has no times). The test files are read after
the training has ended, and the artifact is scored as it was written. Popularity and item-kNN are measured as
well. Flags of the training job (`--dropout 0.2`) are passed on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pyarrow.csv as pa_csv
import torch
from torch import Tensor

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation import baselines, metrics
from ml.ncf.evaluation.evaluation_set import EvaluationSet, index_of
from ml.ncf.model import artifact
from ml.ncf.model.base import RankingModel
from ml.ncf.objectives.histories import full_histories
from ml.ncf.training.loop import Epoch, peak_memory_mib
from ml.ncf.training.plan import training_plan
from ml.ncf.training.runner import run_plan
from ml.ncf.training.training_data import TrainingData
from ml.settings import hyperparameters
from ml.settings.hyperparameters import Hyperparameters
from ml.settings.metrics import CUTOFF

ROOT = Path(__file__).resolve().parents[1]
N_VALIDATION_NEGATIVES = 99
MIN_ROWS = 3  # users with fewer training rows have no validation row
POPULARITY_POWER = -0.5  # rows are drawn by the users of their item to this power
HR_MILESTONE = 0.70
DEFAULT_PRESET = "neumf"


class DataFolder:
    """The three files of a data set."""

    def __init__(self, folder: Path) -> None:
        self.train = self._only(folder, "*.train.tsv.gz")
        self.test = self._only(folder, "*.test.rating")
        self.negatives = self._only(folder, "*.test.negative.gz")

    @staticmethod
    def _only(folder: Path, pattern: str) -> Path:
        found = sorted(folder.glob(pattern))
        if len(found) != 1:
            raise SystemExit(f"{folder}: expected one {pattern}, found {len(found)}")
        return found[0]

    def pairs(self) -> np.ndarray:
        """Training pairs with the numbers of the file: (n, 2)."""
        options = pa_csv.ReadOptions(column_names=["user", "item"], skip_rows=1)
        table = pa_csv.read_csv(self.train, options, pa_csv.ParseOptions(delimiter="\t"))
        return np.stack([table["user"].to_numpy(), table["item"].to_numpy()], axis=1)

    def ranked(self) -> tuple[np.ndarray, np.ndarray]:
        """Test users (C,), and their held-out items followed by the given negatives (C, 1 + N)."""
        held_out = np.loadtxt(self.test, dtype=np.int64, ndmin=2)[:, :2]
        negatives: dict[tuple[int, int], list[int]] = {}
        with gzip.open(self.negatives, "rt") as lines:
            for line in lines:
                key, *items = line.split()
                user, item = (int(each) for each in re.findall(r"\d+", key))
                negatives[user, item] = [int(each) for each in items]
        try:
            ranked = [[item, *negatives[user, item]] for user, item in held_out.tolist()]
        except KeyError as error:
            raise SystemExit(f"{self.negatives}: no negatives of {error}") from error
        return held_out[:, 0], np.array(ranked)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python bench/accuracy.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3, help="trainings, with seeds 1, 2, ...")
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--single", type=int, help=argparse.SUPPRESS)  # one training, in the child process
    arguments, flags = parser.parse_known_args(argv)
    if arguments.single is not None:
        settings = hyperparameters.parse(
            ["--preset", DEFAULT_PRESET, *flags, "--seed", str(arguments.single)]
        )
        arguments.json.write_text(json.dumps(one_training(DataFolder(arguments.data), settings)))
        return 0
    DataFolder(arguments.data)  # fails before the first training if a file is missing
    trainings = [child(arguments.data, seed, flags) for seed in range(1, arguments.seeds + 1)]
    result = summary(arguments.data, trainings)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    show(result)
    return 0


def child(data: Path, seed: int, flags: list[str]) -> dict[str, Any]:
    """Train in a child process, so that the peak memory is measured separately for each seed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "training.json"
        command = [sys.executable, __file__, "--data", str(data), "--single", str(seed), "--json", str(out)]
        done = subprocess.run([*command, *flags], check=False)
        if done.returncode:
            raise SystemExit(f"the training with seed {seed} failed with exit code {done.returncode}")
        training: dict[str, Any] = json.loads(out.read_text())
        return training


def one_training(folder: DataFolder, settings: Hyperparameters) -> dict[str, Any]:
    """Train on the training rows of the folder, then score the artifact on the test rows."""
    pairs = folder.pairs()
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name)
        curve = Curve(workspace)
        began, cpu_began = time.perf_counter(), time.process_time()
        ids, train, held_out = without_validation(pairs, np.random.default_rng(settings.seed))
        data = TrainingData(
            train=train,
            held_out=held_out,
            validation=EvaluationSet.sampled(
                held_out,
                train.union(held_out),
                N_VALIDATION_NEGATIVES,
                np.random.default_rng([settings.seed, 1]),
            ),
        )
        trained = run_plan(training_plan(settings), data, on_epoch=curve.keep)
        everything = train.union(held_out)
        write(workspace / "model", trained.model, ids, everything, settings)
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
        peak = peak_memory_mib()

        model = artifact.read(workspace / "model")
        if model.model is None:
            raise SystemExit("the artifact holds no weights")
        test, known = ids.evaluation_set(*folder.ranked())
        scored = torch.where(known, test.scores(model.model), -torch.inf)
        result: dict[str, Any] = {
            "seed": settings.seed,
            **metrics.quality(scored, CUTOFF),
            "validation": {"hr_at_10": trained.best.hit_rate, "ndcg_at_10": trained.best.ndcg},
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "seconds_to_hr_0_70": curve.first_reaching(HR_MILESTONE, test, known, train),
            "peak_memory_mib": peak,
            "hyperparameters": settings.as_dict(),
        }
        if settings.seed == 1:
            result["baselines"] = baseline_quality(everything, test, known)
        return result


@dataclass(frozen=True, eq=False)
class Ids:
    """Ids of the training rows, by index."""

    users: np.ndarray
    items: np.ndarray

    def evaluation_set(self, users: np.ndarray, items: np.ndarray) -> tuple[EvaluationSet, Tensor]:
        """Test rows by index, and whether each item occurs in the training rows: (C, 1 + N)."""
        raw = EvaluationSet(torch.arange(len(users)), torch.arange(items.size).view(items.shape))
        known, users_known, items_known = raw.renumbered(
            index_of(users, self.users), index_of(items.ravel(), self.items)
        )
        if not users_known.all():
            raise SystemExit(f"user {users[~users_known.numpy()][0]} of the test has no training row")
        return known, items_known


def without_validation(pairs: np.ndarray, rng: np.random.Generator) -> tuple[Ids, Interactions, Interactions]:
    """The ids, the training pairs, and the held-out pairs: one random pair of each user with enough pairs.

    A pair is drawn in proportion to `POPULARITY_POWER` of its item's users: docs/adr/0045.
    """
    users, user_index = np.unique(pairs[:, 0], return_inverse=True)
    items, item_index = np.unique(pairs[:, 1], return_inverse=True)
    sizes = (len(users), len(items))
    whole = Interactions.from_pairs(user_index, item_index, *sizes)
    weights = whole.item_counts().astype(np.float64) ** POPULARITY_POWER
    # The first of exponential arrival times is a draw in proportion to the rates.
    arrivals = rng.exponential(size=len(whole)) / weights[whole.indices]
    first = np.minimum.reduceat(arrivals, whole.indptr[:-1])
    is_held_out = (arrivals == first[whole.users]) & (whole.counts >= MIN_ROWS)[whole.users]
    return Ids(users, items), whole.where(~is_held_out), whole.where(is_held_out)


class Curve:
    """Weights of every epoch, stored on disk and scored on the test split after the training."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._began = time.perf_counter()
        self._kept: list[tuple[float, RankingModel, Path]] = []

    def keep(self, epoch: Epoch, model: RankingModel) -> None:
        """Save the weights and print the epoch."""
        print(
            f"{epoch.phase} {epoch.number}: loss {epoch.loss:.4f}, validation HR@10 {epoch.hit_rate:.4f}, "
            f"NDCG@10 {epoch.ndcg:.4f}, {epoch.seconds:.1f} s, {epoch.peak_memory_mib:.0f} MiB",
            flush=True,
        )
        path = self._workspace / f"{len(self._kept)}.pt"
        torch.save(model.state_dict(), path)
        self._kept.append((time.perf_counter() - self._began, model, path))

    def first_reaching(
        self, hit_rate: float, test: EvaluationSet, known: Tensor, train: Interactions
    ) -> float | None:
        """Seconds to the first epoch with at least that HR@10 on the test split; None if no epoch has it."""
        for seconds, model, path in self._kept:
            model.load_state_dict(torch.load(path, weights_only=True))
            scores = test.scores(model, partial(full_histories, train))
            if metrics.of_scores(torch.where(known, scores, -torch.inf), CUTOFF)["hr"] >= hit_rate:
                return seconds
        return None


def write(folder: Path, model: RankingModel, ids: Ids, seen: Interactions, settings: Hyperparameters) -> None:
    """Write the artifact as the training job does."""
    data = artifact.ServingData.of(
        user_ids=ids.users.astype(np.str_),
        item_ids=ids.items.astype(np.str_),
        seen_indptr=seen.indptr,
        seen_indices=seen.indices,
        popularity=seen.item_counts(),
    )
    info = {"model_version": "bench", "hyperparameters": settings.as_dict()}
    artifact.write(folder, model, data, info, ROOT)


def baseline_quality(train: Interactions, test: EvaluationSet, known: Tensor) -> dict[str, dict[str, float]]:
    """Popularity and item-kNN, fitted on all training rows."""
    scores = {"popularity": baselines.popularity(train, test).float()}
    if baselines.is_affordable(train):
        scores["item_knn"] = baselines.ItemKNN.fit(train).scores(test)
    return {
        name: metrics.quality(torch.where(known, each, -torch.inf), CUTOFF) for name, each in scores.items()
    }


def summary(data: Path, trainings: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and sample standard deviation over the trainings."""

    def spread(name: str) -> dict[str, float]:
        values = [training[name] for training in trainings]
        return {"mean": fmean(values), "std": stdev(values) if len(values) > 1 else 0.0}

    reached = [training["seconds_to_hr_0_70"] for training in trainings]
    return {
        "data": data.resolve().name,
        "protocol": "the paper's split and negatives, ties against the model; validation from training rows",
        "hr_at_10": spread("hr_at_10"),
        "ndcg_at_10": spread("ndcg_at_10"),
        "seconds": fmean(training["seconds"] for training in trainings),
        "cpu_seconds": fmean(training["cpu_seconds"] for training in trainings),
        "seconds_to_hr_0_70": None if None in reached else fmean(reached),
        "peak_memory_mib": max(training["peak_memory_mib"] for training in trainings),
        "baselines": trainings[0].pop("baselines"),
        "threads": torch.get_num_threads(),
        "trainings": trainings,
    }


def show(result: dict[str, Any]) -> None:
    print(f"{result['data']}, {len(result['trainings'])} trainings, {result['threads']} threads")
    for name in ("hr_at_10", "ndcg_at_10"):
        others = ", ".join(f"{each} {scores[name]:.4f}" for each, scores in result["baselines"].items())
        print(f"  {name}: {result[name]['mean']:.4f} ± {result[name]['std']:.4f} ({others})")
    reached = result["seconds_to_hr_0_70"]
    to_milestone = "never" if reached is None else f"{reached:.1f} s"
    print(f"  {result['seconds']:.1f} s per training, {result['cpu_seconds']:.1f} s of CPU")
    print(f"  HR@10 0.70 reached after: {to_milestone}")
    print(f"  peak memory {result['peak_memory_mib']:.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
