"""Benchmark of sessions: users who are not in the training, and users whose last items are not.

    python bench/new_users.py --data ../shared/data/ml-100k --seeds 3 --json out.json

The folder holds `u.data` (user, item, rating, Unix time). A tenth of the users is withheld from the training;
each is answered from the 10 items before the last one, which is ranked among 99 items that the user never
had. For another tenth, the last 11 items are withheld: their vectors are older than their session. Everything
is answered by the inference script (`predict_fn`) with the written artifact. Nothing is selected on these
users: the half-life and the ridge of the session map are selected on validation pairs of the training users.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.model import artifact
from ml.ncf.training.plan import training_plan
from ml.ncf.training.runner import run_plan
from ml.ncf.training.session_map import fit_session_map
from ml.ncf.training.training_data import TrainingData
from ml.serving import inference
from ml.serving.store import Recommender
from ml.settings import hyperparameters
from ml.settings.hyperparameters import Hyperparameters

ROOT = Path(__file__).resolve().parents[1]
PRESET = "neumf-recent"  # of the stages; --preset chooses another
N_NEGATIVES = 99
SESSION_LENGTH = 10
WITHHELD_SHARE = 0.1
K = 10


@dataclass(frozen=True, eq=False)
class Split:
    """Events (user, item, time), in the order of users and times, ties at random, and what is withheld."""

    events: np.ndarray  # (n, 3)
    new_users: np.ndarray
    moved_users: np.ndarray  # their last items are withheld

    @classmethod
    def of(cls, path: Path, rng: np.random.Generator) -> Split:
        raw = np.loadtxt(path, dtype=np.int64)[:, [0, 1, 3]]
        # Many events of a user have the same second; the numbers of items follow their popularity.
        events = raw[np.lexsort((rng.random(len(raw)), raw[:, 2], raw[:, 0]))]
        users = rng.permutation(np.unique(events[:, 0]))
        n_withheld = round(len(users) * WITHHELD_SHARE)
        return cls(events, users[:n_withheld], users[n_withheld : 2 * n_withheld])

    def of_user(self, user: int) -> np.ndarray:
        """Items of a user, oldest first."""
        return self.events[self.events[:, 0] == user, 1]

    def training_events(self) -> np.ndarray:
        """Events of the training: without the last one of each user, and what is withheld."""
        users = self.events[:, 0]
        from_end = np.searchsorted(users, users, side="right") - np.arange(len(users))
        n_withheld = np.where(np.isin(users, self.moved_users), 1 + SESSION_LENGTH, 1)
        return self.events[(from_end > n_withheld) & ~np.isin(users, self.new_users)]


def train(split: Split, settings: Hyperparameters, folder: Path) -> float:
    """Train, and write the artifact as the training job does; returns the seconds of the session map."""
    events = split.training_events()
    user_ids, users = np.unique(events[:, 0], return_inverse=True)
    item_ids, items = np.unique(events[:, 1], return_inverse=True)
    sizes, is_last = (len(user_ids), len(item_ids)), np.append(users[1:] != users[:-1], True)

    def pairs(rows: np.ndarray) -> Interactions:
        return Interactions.from_pairs(users[rows], items[rows], *sizes, events[rows, 2])

    rng = np.random.default_rng([settings.seed, 1])
    data = TrainingData(
        train=pairs(~is_last),
        held_out=pairs(is_last),
        validation=EvaluationSet.sampled(
            pairs(is_last), pairs(np.ones(len(users), dtype=bool)), N_NEGATIVES, rng
        ),
    )
    trained = run_plan(training_plan(settings), data)
    began = time.perf_counter()
    session = fit_session_map(trained.model, data.all_pairs, data.validation, rng)
    seconds = time.perf_counter() - began
    everything = data.all_pairs
    serving_data = artifact.ServingData.of(
        user_ids=user_ids.astype(np.str_),
        item_ids=item_ids.astype(np.str_),
        seen_indptr=everything.indptr,
        seen_indices=everything.indices,
        popularity=everything.item_counts(),
    )
    info = {"model_version": "bench", "hyperparameters": settings.as_dict()}
    artifact.write(folder, trained.model, serving_data, info, ROOT, session=session)
    return seconds


def quality(
    split: Split, users: np.ndarray, model: Recommender, rng: np.random.Generator, *, session: bool
) -> dict[str, Any]:
    """HR and NDCG at 10 of the last item of each user among 99 others, and the strategies of the answers."""
    ranks, strategies = [], set()
    catalogue = np.unique(split.events[:, 1])
    for user in users:
        *before, last = split.of_user(user).tolist()
        unseen = np.setdiff1d(catalogue, [*before, last])
        candidates = [last, *rng.choice(unseen, N_NEGATIVES, replace=False).tolist()]
        request: dict[str, Any] = {"user_id": str(user), "k": K, "candidates": [str(c) for c in candidates]}
        if session:
            request["recent_items"] = [str(item) for item in before[-SESSION_LENGTH:]]
        instances = inference.input_fn(json.dumps({"instances": [request]}), "application/json")
        (found,) = inference.predict_fn(instances, model)["predictions"]
        ranked = [item["item_id"] for item in found["items"]]
        ranks.append(ranked.index(str(last)) if str(last) in ranked else None)
        strategies.add(found["strategy"])
    hits = [rank for rank in ranks if rank is not None]
    return {
        "hr_at_10": len(hits) / len(ranks),
        "ndcg_at_10": sum(1 / np.log2(rank + 2) for rank in hits) / len(ranks),
        "strategies": sorted(strategies),
        "users": len(ranks),
    }


def one_training(data: Path, settings: Hyperparameters) -> dict[str, Any]:
    """Results of one training; the seed also chooses the withheld users and the negatives."""
    split = Split.of(data / "u.data", np.random.default_rng([settings.seed, 0]))
    with tempfile.TemporaryDirectory() as name:
        seconds = train(split, settings, Path(name))
        model = inference.model_fn(name)
        found = model.artifact.session
        cases = {
            "new users, popularity": (split.new_users, False),
            "new users, session": (split.new_users, True),
            "known users, trained vector": (split.moved_users, False),
            "known users, with the session": (split.moved_users, True),
        }
        results = {
            label: quality(split, users, model, np.random.default_rng([settings.seed, 2]), session=session)
            for label, (users, session) in cases.items()
        }
    half_life = None if found is None else found.half_life
    return {"seed": settings.seed, "results": results, "half_life": half_life, "session_map_s": seconds}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python bench/new_users.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3, help="trainings, with seeds 1, 2, ...")
    parser.add_argument("--json", type=Path, help="file for the result")
    arguments, flags = parser.parse_known_args(argv)
    trainings = [
        one_training(arguments.data, hyperparameters.parse(["--preset", PRESET, *flags, "--seed", str(seed)]))
        for seed in range(1, arguments.seeds + 1)
    ]
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(trainings, indent=2) + "\n")
    for label in trainings[0]["results"]:
        means = {
            metric: fmean(each["results"][label][metric] for each in trainings)
            for metric in ("hr_at_10", "ndcg_at_10")
        }
        spread = ", ".join(f"{each['results'][label]['hr_at_10']:.3f}" for each in trainings)
        print(f"{label:32} HR@10 {means['hr_at_10']:.3f} ({spread}), NDCG@10 {means['ndcg_at_10']:.3f}")
    print(f"session map: {fmean(each['session_map_s'] for each in trainings):.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
