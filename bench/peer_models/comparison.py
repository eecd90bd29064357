"""Test metrics of final trainings with intervals, and their differences from this project's model.

Shapes: C held-out pairs, U users, I items.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.peer_models.registry import PEERS, PRODUCT
from bench.peer_models.search import NDCG, Search
from ml.ncf.data.prepared_run import PreparedRun
from ml.ncf.evaluation import metrics
from ml.ncf.evaluation.comparison import CANDIDATE, CHAMPION, CHANGE
from ml.ncf.evaluation.held_out import HeldOut, Ranks
from ml.settings.metrics import CUTOFF

EVALUATION_SEED = 42  # the default of the evaluation job: the same negatives as in `make up`
HR = f"hr_at_{CUTOFF}"
COLUMNS = (
    "model",
    f"HR@{CUTOFF}",
    f"NDCG@{CUTOFF}",
    "ours minus it, NDCG",
    f"whole catalogue: HR@{CUTOFF}",
    f"NDCG@{CUTOFF}",
    "ours minus it, NDCG",
    "validation NDCG",
    "trials, CPU s",
    "training: CPU s",
    "wall s",
    "peak MiB",
)
Report = dict[str, Any]


def ranks_of(held_out: HeldOut, scores_file: Path) -> Ranks:
    """Ranks of the test items under scores (U, I); -inf for items that a model does not know."""
    scores = torch.from_numpy(np.load(scores_file))
    pairs = held_out.sampled
    sampled = pairs.masked(scores[pairs.users[:, None], pairs.items.long()])

    def of_users(users: Tensor) -> Tensor:
        return scores[users]

    return Ranks(metrics.rank_of_first(sampled), held_out.catalogue.rank(of_users, CUTOFF))


def compare(run: PreparedRun, searches: Mapping[str, Search], left_out: Mapping[str, str]) -> Report:
    """Metrics, intervals and costs of each recommender.

    Args:
        run: prepared run.
        searches: with a final training, by name.
        left_out: reason, by name, why a recommender has no result.
    """
    held_out = HeldOut.of(run, EVALUATION_SEED)
    ranks = {name: ranks_of(held_out, each.folder / "final.npy") for name, each in searches.items()}
    return {
        "n_users": run.n_users,
        "n_items": run.n_items,
        "n_train": len(run.splits["train"]),
        "split": run.split_rule,
        "peers": {name: _of_peer(held_out, ranks, name) | _costs(each) for name, each in searches.items()},
        "left_out": dict(left_out),
    }


def _of_peer(held_out: HeldOut, ranks: Mapping[str, Ranks], name: str) -> Report:
    """Metrics under both protocols; `change` is this project's model minus the recommender."""
    pair = {CHAMPION: ranks[name], CANDIDATE: ranks[PRODUCT]} if PRODUCT in ranks else {CHAMPION: ranks[name]}
    found: Report = {}
    for protocol, report in (
        ("sampled", held_out.sampled_report),
        ("whole_catalogue", held_out.catalogue_report),
    ):
        full = {CHANGE: None, **report(pair)} if PRODUCT in ranks else _alone(report, ranks[name])
        found[protocol] = {
            **full[CHAMPION],
            "intervals": full["intervals"][CHAMPION],
            CHANGE: full[CHANGE],
            "change_intervals": full["intervals"].get(CHANGE),
        }
    return found


def _alone(report: Any, ranks: Ranks) -> Report:
    """The report of a recommender when this project's model is not in the comparison."""
    full = report({CANDIDATE: ranks})
    intervals = {CHAMPION: full["intervals"][CANDIDATE]}
    return {CHAMPION: full[CANDIDATE], CHANGE: None, "intervals": intervals}


def _costs(search: Search) -> Report:
    trials, best, final = search.trials(), search.best(), search.final()
    return {
        "training": final,
        "tuning": {
            "trials": len(trials),
            "cpu_seconds": sum(each["cpu_seconds"] for each in trials),
            "validation": best["validation"] if best else None,
            "epochs": best["epochs"] if best else None,
            "space": PEERS[search.peer].space,
        },
    }


def as_markdown(result: Report) -> str:
    """The table, best NDCG first; what this project's model is behind of comes first of all."""
    lines = [*_behind(result), ""]
    lines.append(f"| {' | '.join(COLUMNS)} |")
    lines.append("|" + " --- |" * len(COLUMNS))
    ordered = sorted(result["peers"].items(), key=lambda each: -each[1]["sampled"][NDCG])
    lines += [_row(name, each) for name, each in ordered]
    lines += ["", *(f"Left out: {name}: {reason}" for name, reason in result["left_out"].items())]
    return "\n".join(lines).rstrip() + "\n"


def _row(name: str, found: Report) -> str:
    sampled, catalogue = found["sampled"], found["whole_catalogue"]
    training, tuning = found["training"], found["tuning"]
    validation = tuning["validation"]
    cells = [
        PEERS[name].title,
        f"{sampled[HR]:.3f}",
        _with_interval(sampled),
        _change(name, sampled),
        f"{catalogue[HR]:.3f}",
        _with_interval(catalogue),
        _change(name, catalogue),
        f"{validation[NDCG]:.3f}" if validation else "-",
        f"{tuning['trials']}, {tuning['cpu_seconds']:.0f}" if tuning["trials"] else "not tuned",
        f"{training['cpu_seconds']:.1f}",
        f"{training['seconds']:.1f}",
        f"{training['peak_memory_mib']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _with_interval(found: Report) -> str:
    low, high = found["intervals"][NDCG]
    return f"{found[NDCG]:.3f} ({low:.3f} to {high:.3f})"


def _change(name: str, found: Report) -> str:
    if found[CHANGE] is None or name == PRODUCT:
        return ""
    low, high = found["change_intervals"][NDCG]
    return f"{found[CHANGE][NDCG]:+.3f} ({low:+.3f} to {high:+.3f})"


def _behind(result: Report) -> list[str]:
    """One sentence for each protocol and metric in which another recommender is ahead of ours."""
    lines = []
    for name, found in result["peers"].items():
        for protocol in ("sampled", "whole_catalogue"):
            change, intervals = found[protocol][CHANGE], found[protocol]["change_intervals"]
            for metric, value in (change or {}).items():
                if value < 0:
                    low, high = intervals[metric]
                    beyond = "beyond" if high < 0 else "within"
                    lines.append(
                        f"**Behind {PEERS[name].title}**: {metric}, {protocol}: {value:+.4f} "
                        f"({low:+.4f} to {high:+.4f}), {beyond} the interval."
                    )
    return lines or ["Ours is behind no other recommender in this table."]
