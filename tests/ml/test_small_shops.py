"""Shops with few items, and a user with nearly every item: from the preparation to the evaluation report."""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from bench import prepared_runs as prepared
from ml.ncf.jobs import evaluate, train
from ml.preparation.write.quality import QualityError
from tests.ml.preparation.shop import START_S, prepare, write_shop

pytestmark = pytest.mark.spark
QUICK = ["--preset", "gmf", "--epochs", "2", "--pointwise-epochs", "2", "--factor-num", "4"]


def lines(n_items_of: Iterable[int], n_items: int) -> list[str]:
    """Events of users with the given numbers of different items, of n_items."""
    rng = random.Random(0)
    return [
        f"u{user},i{item},{START_S + 60 * position}"
        for user, count in enumerate(n_items_of)
        for position, item in enumerate(rng.sample(range(n_items), count))
    ]


def evaluated(run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The report of a model trained on a prepared run."""
    for name, value in prepared.mount(run, folder / "channels").items():
        monkeypatch.setenv(name, value)
    folders = ["--model-dir", str(folder / "model"), "--output-data-dir", str(folder / "output/data")]
    assert train.main([*QUICK, *folders]) == 0
    job_input = folder / "channels"
    (job_input / "model").mkdir()
    with tarfile.open(job_input / "model/model.tar.gz", "w:gz") as tar:
        tar.add(folder / "model", arcname=".")
    assert evaluate.main(["--input", str(job_input), "--output", str(folder / "evaluation")]) == 0
    return json.loads((folder / "evaluation/evaluation.json").read_text())


def test_user_with_nearly_every_item_is_evaluated_among_the_rest(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_shop(tmp_path, lines([250, *[12] * 60], 298))
    run = prepare(spark, source, tmp_path / "prepared")
    quality = json.loads((run / "quality.json").read_text())
    n_items = quality["counts"]["items"]
    assert quality["passed"]
    assert quality["unseen_items"]["fewest"] == n_items - 250 < 99
    assert (quality["unseen_items"]["n_users_with_fewer"], quality["unseen_items"]["n_users_without"]) == (
        1,
        0,
    )
    assert "1 users have fewer than 99 unseen items" in quality["unseen_items"]["warning"]
    assert quality["unseen_items"]["warning"] in caplog.text
    report = evaluated(run, tmp_path, monkeypatch)
    assert report["protocol"]["n_users"] == 61
    assert report["protocol"]["fewest_negatives"] == n_items - 250
    assert report["protocol"]["n_users_with_fewer_negatives"] == 1
    assert len(report["warnings"]) == 1
    assert (
        f"1 of 61 held-out items are ranked among fewer than 99 items (the fewest: {n_items - 250})"
        in (report["warnings"][0])
    )


def test_shop_of_29_items_is_evaluated_among_what_there_is(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepare(spark, write_shop(tmp_path, lines([8] * 16, 29)), tmp_path / "prepared")
    quality = json.loads((run / "quality.json").read_text())
    share = next(each for each in quality["expectations"] if each["name"] == "few_unseen_share")
    assert (share["observed"], share["passed"]) == (1.0, True)
    report = evaluated(run, tmp_path, monkeypatch)
    assert report["protocol"]["n_users_with_fewer_negatives"] == report["protocol"]["n_users"] == 16
    assert report["protocol"]["fewest_negatives"] == quality["counts"]["items"] - 8


def test_user_with_every_item_is_left_out_of_the_evaluation(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepare(spark, write_shop(tmp_path, lines([30, *[8] * 12], 30)), tmp_path / "prepared")
    report = evaluated(run, tmp_path, monkeypatch)
    assert (report["protocol"]["n_users"], report["protocol"]["n_users_left_out"]) == (12, 1)
    assert "1 of 13 held-out items are left out: their users have seen all items" in report["warnings"]


@pytest.mark.parametrize(
    ("n_items_of", "n_items", "reason"),
    [
        ([8] * 30, 10, "items is 10, expected at least 11"),
        ([20] * 5, 20, "rankable_users is 0, expected at least 1"),
    ],
)
def test_shop_that_cannot_be_evaluated_is_refused_by_the_preparation(
    spark: SparkSession, tmp_path: Path, n_items_of: list[int], n_items: int, reason: str
) -> None:
    with pytest.raises(QualityError, match=reason):
        prepare(spark, write_shop(tmp_path, lines(n_items_of, n_items)), tmp_path / "prepared")
