"""NDCG@10 of a model on the day after its data, below that of its gate: without drift, day by day.

    python bench/drift.py                                  # the synthetic shop, which has no drift
    python bench/drift.py --data /path/to/ml-100k/u.data   # user, item, rating, Unix seconds, by tabs

For each of the last days, EASE is trained on everything before it, as the nightly run does, and the section
`served` of the evaluation (ADR 30) reports on the day. `max_ndcg_drop` has to be above what is seen here.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.prepared_runs import leave_last_two_out, mount, write_run
from ml.contract import N_TEST_NEGATIVES, SPLITS
from ml.ncf.data.interactions import Interactions
from ml.ncf.data.prepared_run import PreparedRun, read_run
from ml.ncf.evaluation import metrics
from ml.ncf.evaluation.champion import Champion
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.evaluation.matched_model import MatchedModel
from ml.ncf.evaluation.served_model import DAY_S, DROP_METRIC, served_report
from ml.ncf.jobs import train
from ml.ncf.model import artifact
from ml.settings.metrics import CUTOFF
from ml.synthetic import generate

MIN_PER_USER = 3  # a row in each split
SHOP = {"n_users": 1500, "n_items": 800, "n_interactions": 60_000, "seed": 7}  # defaults of ml.synthetic
SEED = 1
out = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, eq=False)
class Events:
    """N events in order of time, with consecutive indices."""

    users: NDArray[np.int64]  # (N,)
    items: NDArray[np.int64]  # (N,)
    times: NDArray[np.int64]  # (N,), Unix seconds

    @classmethod
    def read(cls, path: Path | None) -> Events:
        """Events of a file; None: of the synthetic shop."""
        if path is None:
            found = generate(**SHOP)
            columns = [found.user, found.item, found.timestamp]
        else:
            rows = np.loadtxt(path, dtype=np.int64, delimiter="\t")
            columns = [rows[:, 0], rows[:, 1], rows[:, 3]]
        order = np.argsort(columns[2], kind="stable")
        users, items, times = (column[order] for column in columns)
        return cls(np.unique(users, return_inverse=True)[1], np.unique(items, return_inverse=True)[1], times)

    def until(self, end_s: int) -> Events:
        """Events before a time."""
        kept = self.times < end_s
        return Events(self.users[kept], self.items[kept], self.times[kept])


def trained(events: Events, n_users: int, n_items: int, folder: Path) -> tuple[artifact.Artifact, float]:
    """EASE on all events, and its NDCG@10 at the gate."""
    pairs = np.stack([events.users, events.items], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    pairs = pairs[np.sort(first)]
    pairs = pairs[np.bincount(pairs[:, 0], minlength=n_users)[pairs[:, 0]] >= MIN_PER_USER]
    channels = folder / "channels"
    os.environ.update(mount(write_run(folder / "run", leave_last_two_out(pairs), n_users, n_items), channels))
    folders = ["--model-dir", str(folder / "model"), "--output-data-dir", str(folder / "output")]
    if train.main(["--preset", "ease", *folders]) != 0:
        raise SystemExit("the training failed")
    model = artifact.read(folder / "model")
    run = read_run(lambda name: channels / name)
    rng = np.random.default_rng(SEED)
    ranked = EvaluationSet.sampled(run.splits["test"], run.seen(), N_TEST_NEGATIVES, rng)
    ranks = metrics.rank_of_first(MatchedModel(model, run).scores(ranked))
    return model, float(metrics.values_of_ranks(ranks, CUTOFF)[DROP_METRIC].mean())


def run_of(events: Events, n_users: int, n_items: int) -> PreparedRun:
    """The run of the next night, whose newest day is the day in question."""
    pairs = Interactions.from_pairs(events.users, events.items, n_users, n_items, events.times)
    empty = pairs.where(np.zeros(len(pairs), dtype=bool))
    return PreparedRun(
        run_id="20261124T020000Z",
        user_ids=np.array([f"u{n}" for n in range(n_users)]),
        item_ids=np.array([f"i{n}" for n in range(n_items)]),
        splits={**dict.fromkeys(SPLITS, empty), "train": pairs},
        popularity=pairs.item_counts(),
        split_rule="leave-last-two-out-in-time",
    )


def days(events: Events, n_days: int, min_pairs: int) -> Iterator[dict[str, Any]]:
    """The report of each of the last days with enough events."""
    n_users, n_items = int(events.users.max()) + 1, int(events.items.max()) + 1
    end_s, n_found = int(events.times.max()) + 1, 0
    while n_found < n_days and end_s - DAY_S > events.times.min():
        until = events.until(end_s)
        if np.count_nonzero(until.times >= end_s - DAY_S) >= min_pairs:
            n_found += 1
            with tempfile.TemporaryDirectory() as name:
                before = events.until(int(until.times.max()) + 1 - DAY_S)
                model, gate = trained(before, n_users, n_items, Path(name))
                champion = Champion("arn:champion", model, {DROP_METRIC: gate})
                report = served_report(run_of(until, n_users, n_items), champion, SEED)
            if report is not None and report[DROP_METRIC] is not None:
                yield {"gate": gate, **report}
        end_s -= DAY_S


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="events (default: the synthetic shop)")
    parser.add_argument("--days", type=int, default=14, help="number of days (default: 14)")
    parser.add_argument("--min-pairs", type=int, default=50, help="of a day (default: 50)")
    arguments = parser.parse_args(argv)
    table = Table("pairs", "unknown users", "gate", "day", "interval", "below the gate", "drop", box=None)
    drops, gaps = [], []
    for each in days(Events.read(arguments.data), arguments.days, arguments.min_pairs):
        low, high = each["intervals"][DROP_METRIC]
        drops.append(each["ndcg_drop"])
        gaps.append(each["gate"] - each[DROP_METRIC])
        table.add_row(
            str(each["n_pairs"]),
            f"{each['unknown_user_share']:.2f}",
            f"{each['gate']:.3f}",
            f"{each[DROP_METRIC]:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{gaps[-1]:.3f}",
            f"{drops[-1]:.3f}",
        )
    out.print(table)
    out.print(f"{len(drops)} days: below the gate by {np.mean(gaps):.3f}; drop at most {max(drops):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
