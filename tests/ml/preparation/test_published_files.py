"""Public data sets in their published form: each gives exactly the pairs that are in it.

The files are small inventions in the shape of the public ones, in `cases/files` beside the shared data.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from ml.preparation import job
from ml.preparation.arguments import parse_arguments
from ml.preparation.errors import InputError
from tests.ml.conftest import ROOT
from tests.ml.preparation.shop import table

pytestmark = pytest.mark.spark

CASES = ROOT / os.environ.get("NCF_DATA_DIR", "../shared/data") / "../cases/files"
RUN_ID = "20261123T020000Z"
OPTIONS = ["--previous-run", "none", "--max-quarantined-share", "0.05"]
Pair = tuple[str, str, int, float]

# The input of each case, without an option or with the one that the message or NOTE.md names.
READ = {
    "amazon18_ratings": ("All_Beauty.csv", []),
    "csv_zst": ("a.csv.zst", []),
    "diginetica": ("train-item-views.csv", []),
    "e_multiline": ("multiline.csv", []),
    "g_bot_430_of_500": ("bot_430_of_500.csv", []),
    "g_small_shop_105": ("small_shop_105.csv", []),
    "hm": ("transactions_train.csv", []),
    "korean_cp949_ids": ("b.csv", []),
    "orc": ("events.orc", []),
    "e_yyyymmddhhmmss": ("yyyymmddhhmmss.csv", []),
    "excel_us_time": ("export.csv", []),
    "goodreads_json": ("goodreads_interactions_poetry.json.gz", []),
    "hive_dt_compact": ("hive_dt_compact", []),
    "otto": ("otto-recsys-train.jsonl", []),
    "pq_decimal_scaled": ("decimal_scaled.parquet", []),
    "pq_epoch_us": ("epoch_us.parquet", []),
    "retailrocket": ("events.csv", []),
    "recbole_inter": ("ml-100k.inter", []),
    "steam_reviews": ("steam_reviews.json.gz", []),
    "taobao": ("UserBehavior.csv", []),
    "yoochoose_clicks": ("yoochoose-clicks.dat", []),
    "e_customer_and_user": ("customer_and_user.csv", ["--user-column", "customer_id"]),
}
# Refused, with an option in the message.
REFUSED = {
    "e_customer_and_user": ("customer_and_user.csv", "--user-column user_id or --user-column customer_id"),
    "bookcrossing": ("BX-Book-Ratings.csv", "--no-time"),
}


def case_file(case: str, name: str) -> Path:
    path = (CASES / case / name).resolve()
    if not path.exists():
        pytest.skip(f"the published files are not at {CASES}")
    return path


def prepare(spark: SparkSession, source: Path, output: Path, options: list[str]) -> Path:
    arguments = ["--input", str(source), "--output", str(output), "--run-id", RUN_ID, *OPTIONS, *options]
    job.prepare(spark, parse_arguments(arguments))
    return output / f"run={RUN_ID}"


def pairs_of(run: Path) -> set[Pair]:
    """The pairs of all splits with the ids of the input."""
    users = dict(enumerate(table(run, "users.parquet")["user_id"].to_pylist()))
    items = dict(enumerate(table(run, "items.parquet")["item_id"].to_pylist()))
    rows: list[dict[str, Any]] = []
    for split in ("train", "validation", "test"):
        for file in sorted((run / split).glob("*.parquet")):
            rows += table(run, f"{split}/{file.name}").to_pylist()
    return {
        (users[row["user_index"]], items[row["item_index"]], row["timestamp"], row["weight"]) for row in rows
    }


def expected_pairs(case: str) -> set[Pair]:
    header, *lines = gzip.decompress((CASES / case / "expected.tsv.gz").read_bytes()).decode().splitlines()
    assert header.split("\t")[0] == "user_id"
    cells = [line.split("\t") for line in lines]
    return {(user, item, int(time), float(weight)) for user, item, time, weight in cells}


@pytest.mark.parametrize("case", READ)
def test_published_file_gives_exactly_its_pairs(spark: SparkSession, tmp_path: Path, case: str) -> None:
    name, options = READ[case]
    run = prepare(spark, case_file(case, name), tmp_path, options)
    assert pairs_of(run) == expected_pairs(case)


@pytest.mark.parametrize("case", REFUSED)
def test_file_that_needs_an_option_is_refused_with_it(spark: SparkSession, tmp_path: Path, case: str) -> None:
    name, option = REFUSED[case]
    with pytest.raises(InputError) as caught:
        prepare(spark, case_file(case, name), tmp_path, [])
    assert option in str(caught.value)
