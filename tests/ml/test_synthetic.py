"""Synthetic interactions: reproducible, and with learnable preferences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ml import synthetic

SHOP = {"n_users": 600, "n_items": 400, "n_interactions": 20_000}


def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    for path, seed in zip(files, (7, 7, 8), strict=True):
        synthetic.write_csv(synthetic.generate(**SHOP, seed=seed), path)
    first, again, other = (path.read_bytes() for path in files)
    assert first == again
    assert first != other


def test_file_has_the_requested_sizes_and_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shop.csv"
    arguments = ["--users", "100", "--items", "60", "--interactions", "1500", "--seed", "1"]
    assert synthetic.main(["--output", str(path), *arguments]) == 0
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    assert header == "user_id,item_id,timestamp"
    assert len(rows) == 1500
    users, items, times = zip(*(row.split(",") for row in rows), strict=True)
    assert set(users) == {f"u{user:06d}" for user in range(100)}
    assert set(items) <= {f"i{item:05d}" for item in range(60)}
    assert list(times) == sorted(times)
    assert "1500 events" in capsys.readouterr().out


def test_every_user_has_the_minimum_of_distinct_items() -> None:
    shop = synthetic.generate(**SHOP, seed=3)
    pairs = np.unique(np.stack([shop.user, shop.item]), axis=1)
    assert np.bincount(pairs[0]).min() >= synthetic.MIN_EVENTS_PER_USER
    assert pairs.shape[1] < len(shop.user), "some events repeat an earlier pair"


def test_events_of_a_user_have_distinct_times() -> None:
    shop = synthetic.generate(**SHOP, seed=3)
    moments = np.unique(np.stack([shop.user, shop.timestamp]), axis=1)
    assert moments.shape[1] == len(shop.user)


def test_preferences_exceed_popularity_and_popularity_exceeds_chance() -> None:
    """HR@10 on the newest item among 99 unseen ones: item-kNN by cosine against train popularity."""
    shop = synthetic.generate(**SHOP, seed=7)
    train, seen, held_out = leave_last_out(shop)
    popularity = train.sum(axis=0)
    together = train.T @ train
    np.fill_diagonal(together, 0)
    cosine = together / np.sqrt(np.outer(popularity, popularity) + 1e-9)
    by_popularity = hit_rate(np.tile(popularity, (len(train), 1)), seen, held_out)
    by_preference = hit_rate(train @ cosine, seen, held_out)
    assert 0.25 < by_popularity < 0.5  # chance is 0.10
    assert by_preference > by_popularity + 0.25


@pytest.mark.parametrize(("interactions", "items"), [("100", "60"), ("9000", "60"), ("1500", "0")])
def test_inconsistent_sizes_give_one_line_and_exit_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], interactions: str, items: str
) -> None:
    path = tmp_path / "shop.csv"
    sizes = ["--users", "100", "--items", items, "--interactions", interactions]
    assert synthetic.main(["--output", str(path), *sizes]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not path.exists()


def leave_last_out(
    shop: synthetic.SyntheticEvents,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Train matrix (U, I), seen matrix (U, I) and the newest item of each user (U,)."""
    seen = np.zeros((SHOP["n_users"], SHOP["n_items"]), dtype=bool)
    held_out = np.zeros(SHOP["n_users"], dtype=np.int64)
    for user, item in zip(shop.user, shop.item, strict=True):  # in order of time
        seen[user, item] = True
        held_out[user] = item
    train = seen.astype(float)
    train[np.arange(len(train)), held_out] = 0
    return train, seen, held_out


def hit_rate(scores: NDArray[np.float64], seen: NDArray[np.bool_], held_out: NDArray[np.int64]) -> float:
    rng = np.random.default_rng(0)
    hits = 0
    for user, item in enumerate(held_out):
        negatives = rng.choice(np.flatnonzero(~seen[user]), size=99, replace=False)
        hits += (scores[user, negatives] >= scores[user, item]).sum() < 10  # ties count against the scores
    return hits / len(held_out)
