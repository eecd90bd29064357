"""A newest day that differs from everything before, and the evaluation of a model on it."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.prepared_runs import Rows, grouped_shop, mount, write_run
from ml.ncf.data.interactions import Interactions
from ml.ncf.data.prepared_run import PreparedRun
from ml.ncf.evaluation.champion import Champion
from ml.ncf.evaluation.served_model import DAY_S, served_report
from ml.ncf.jobs import train
from ml.ncf.jobs.published_metrics import publish
from ml.ncf.model import artifact
from ml.settings.monitoring import MonitoringSettings
from tests.stacks.alarms.stage import REGION, StageUnderTest
from tests.stacks.program import section

N_USERS, N_ITEMS, N_GROUPS = 120, 80, 4
NEWEST_S = 1_700_000_000


def publish_drift(stage: StageUnderTest) -> None:
    """The model that serves is evaluated on a day with new users, new items and another taste."""
    settings = {"AWS_ENDPOINT_URL": stage.emulator.url, "AWS_DEFAULT_REGION": REGION}
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**settings, **keys}.items():
            patch.setenv(name, value)
        assert publish(_unusual_day(), "dev") is None


@functools.cache
def _unusual_day() -> dict[str, Any]:
    """Section `served` of the evaluation; the gate's NDCG is that of a usual day."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        model = _model(Path(name), patch)
        usual = _report(model, _next_run(model, is_usual=True), {})
        assert (
            usual["popularity_shift"]
            < MonitoringSettings(**section("dev", "monitoring")).max_popularity_shift
        )
        return _report(model, _next_run(model, is_usual=False), {"ndcg_at_10": usual["ndcg_at_10"]})


def _model(folder: Path, patch: pytest.MonkeyPatch) -> artifact.Artifact:
    """EASE, trained on the shop."""
    run = write_run(folder / "run", grouped_shop(N_USERS, N_ITEMS, N_GROUPS), N_USERS, N_ITEMS)
    for key, value in mount(run, folder / "channels").items():
        patch.setenv(key, value)
    folders = ["--model-dir", str(folder / "model"), "--output-data-dir", str(folder / "output")]
    assert train.main(["--preset", "ease", *folders]) == 0
    return artifact.read(folder / "model")


def _next_run(model: artifact.Artifact, *, is_usual: bool) -> PreparedRun:
    """The next run: what the model has seen, spread over the week before, and the newest day.

    On a usual day, users choose items of their own group. On an unusual one they choose those of the next
    group, half of the pairs are of new users, and some items are new.
    """
    assert model.data is not None
    rng = np.random.default_rng(3)
    n_new_users, n_new_items = (0, 0) if is_usual else (N_USERS, 8)
    n_users, n_items = N_USERS + n_new_users, N_ITEMS + n_new_items
    seen_users = np.repeat(np.arange(N_USERS), np.diff(model.data.seen_indptr))
    known = set(zip(seen_users.tolist(), model.data.seen_indices.tolist(), strict=True))
    day = _day(rng, known, n_users, n_items, offset=0 if is_usual else 1)
    users = np.concatenate([seen_users, day[:, 0]])
    items = np.concatenate([model.data.seen_indices, day[:, 1]])
    ages = np.concatenate(
        [rng.integers(2 * DAY_S, 6 * DAY_S, len(seen_users)), rng.integers(0, DAY_S // 2, len(day))]
    )
    pairs = Interactions.from_pairs(users, items, n_users, n_items, NEWEST_S - ages)
    ids = {
        "user_ids": np.array([f"u{n}" for n in range(n_users)]),
        "item_ids": np.array([f"i{n}" for n in range(n_items)]),
    }
    empty = pairs.where(np.zeros(len(pairs), dtype=bool))
    return PreparedRun(
        run_id="20261124T020000Z",
        splits={"train": pairs, "validation": empty, "test": empty},
        popularity=pairs.item_counts(),
        split_rule="leave-last-two-out-in-time",
        **ids,
    )


def _day(
    rng: np.random.Generator, known: set[tuple[int, int]], n_users: int, n_items: int, offset: int
) -> Rows:
    """Two unseen items of each user, of the group with an offset; every fifth user gets new ones, if any."""
    rows = []
    for user in range(n_users):
        group = np.arange((user + offset) % N_GROUPS, N_ITEMS, N_GROUPS)
        new = np.arange(N_ITEMS, n_items)
        unseen = [each for each in group.tolist() if (user, each) not in known]
        choice = new if len(new) and user % 5 == 0 else unseen
        rows += [(user, item) for item in rng.choice(choice, 2, replace=False)]
    return np.array(rows)


def _report(model: artifact.Artifact, run: PreparedRun, gate_metrics: dict[str, float]) -> dict[str, Any]:
    report = served_report(run, Champion("arn:champion", model, gate_metrics), seed=1)
    assert report is not None
    return report
