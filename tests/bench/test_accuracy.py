from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from bench import accuracy
from bench.prepared_runs import grouped_shop

QUICK = [
    "--epochs",
    "4",
    "--pointwise-epochs",
    "2",
    "--mlp-epochs",
    "1",
    "--fused-epochs",
    "1",
    "--batch-size",
    "32",
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set in the format of the paper's files, with gaps in the numbering."""
    splits = grouped_shop(n_users=60, n_items=120)
    train = np.concatenate([splits["train"], splits["validation"]])
    with gzip.open(tmp_path / "shop.train.tsv.gz", "wt") as lines:
        lines.write("user\titem\n")
        lines.writelines(f"{user * 3}\t{item * 2}\n" for user, item in train)
    rng = np.random.default_rng(0)
    ratings, negatives = [], []
    for user, item in splits["test"]:
        ratings.append(f"{user * 3}\t{item * 2}\t5\t978824351\n")
        drawn = "\t".join(str(2 * each) for each in rng.choice(120, 99, replace=False))
        negatives.append(f"({user * 3},{item * 2})\t{drawn}\n")
    (tmp_path / "shop.test.rating").write_text("".join(ratings))
    with gzip.open(tmp_path / "shop.test.negative.gz", "wt") as lines:
        lines.writelines(negatives)
    return tmp_path


def test_result_has_the_documented_fields(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert accuracy.main(["--data", str(data), "--seeds", "2", "--json", str(out), *QUICK]) == 0
    result = json.loads(out.read_text())
    assert 0 < result["hr_at_10"]["mean"] <= 1
    assert result["ndcg_at_10"]["std"] >= 0
    assert result["seconds"] > 0
    assert result["peak_memory_mib"] > 50
    assert "seconds_to_hr_0_70" in result
    assert set(result["baselines"]) == {"popularity", "item_knn"}
    assert [training["seed"] for training in result["trainings"]] == [1, 2]


def test_folder_without_the_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"expected one \*\.train\.tsv\.gz, found 0"):
        accuracy.main(["--data", str(tmp_path)])


def test_failed_training_is_named_by_its_seed(data: Path) -> None:
    (data / "shop.train.tsv.gz").write_bytes(b"not gzip")
    with pytest.raises(SystemExit, match="the training with seed 1 failed"):
        accuracy.main(["--data", str(data), "--seeds", "1", *QUICK])


def test_one_pair_of_each_user_is_held_out_and_unpopular_items_more_often() -> None:
    n_users = 3_000
    # Every user has item 0, one of 300 others, and a third one; the last user has two pairs only.
    users = np.repeat(np.arange(n_users), 3)
    items = np.stack(
        [np.zeros(n_users), 1 + np.arange(n_users) % 300, 301 + np.arange(n_users) % 300], axis=1
    )
    pairs = np.stack([users, items.ravel()], axis=1).astype(np.int64)[:-1]
    _, train, held_out = accuracy.without_validation(pairs, np.random.default_rng(0))
    assert held_out.counts.tolist() == [1] * (n_users - 1) + [0]
    assert len(train.union(held_out)) == len(train) + len(held_out) == len(pairs)
    share = (held_out.indices == 0).mean()
    expected = 3000**-0.5 / (3000**-0.5 + 2 * 10**-0.5)
    assert abs(share - expected) < 0.01
