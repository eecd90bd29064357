"""Public data sets in their published form: each gives exactly the pairs that are in it.

The files are small and made up, in the formats of the public ones, in `cases/files` beside the shared data.
Each is read and cleaned separately. All are split together: their ids are prefixed with the case.
"""

from __future__ import annotations

import gzip
import os
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession, functions

from ml.preparation import job
from ml.preparation.arguments import parse_arguments
from ml.preparation.clean.ingestion import ingest_events
from ml.preparation.errors import InputError
from ml.preparation.spark.storage import Storage
from tests.ml.conftest import ROOT
from tests.ml.preparation.shop import table
from tests.ml.preparation.split.splitting import split

pytestmark = pytest.mark.spark

CASES = ROOT / os.environ.get("NCF_DATA_DIR", "../shared/data") / "../cases/files"
RUN_ID = "20261123T020000Z"
OPTIONS = ["--previous-run", "none", "--max-quarantined-share", "0.05"]
NO_USERS = ["--anonymous", "drop", "--missing-ids=-1,0,00000000-0000-0000-0000-000000000000"]
WEIGHTS = ["view=1", "cart=3", "purchase=5", "remove_from_cart=0"]
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
    "e_null_words": ("null_words.csv", NO_USERS),
    "ml1m_folder": ("ml-1m/ratings.dat", []),
    "f_pq_null_users": ("null_users.parquet", ["--anonymous", "drop"]),
    "f_pq_unrelated_time": ("unrelated_time.parquet", []),
    "rees46_cosmetics_weights": (
        "2019-Oct.csv",
        [text for weight in WEIGHTS for text in ("--event-weight", weight)],
    ),
}
# Refused, with the option to give, or with what to give instead.
REFUSED = {
    "e_customer_and_user": ("customer_and_user.csv", "--user-column user_id or --user-column customer_id"),
    "bookcrossing": ("BX-Book-Ratings.csv", "--no-time"),
    "ml1m_folder": ("ml-1m", "ml-1m/ratings.dat has all columns"),
    "delta_deleted_user": ("delta2", "delta2: a Delta table, whose files hold deleted rows too"),
}


def case_file(case: str, name: str) -> Path:
    path = (CASES / case / name).resolve()
    if not path.exists():
        pytest.skip(f"the published files are not at {CASES}")
    return path


def settings_of_case(source: Path, output: Path, options: list[str]) -> Any:
    return parse_arguments(
        ["--input", str(source), "--output", str(output), "--run-id", RUN_ID, *OPTIONS, *options]
    )


def ingest(spark: SparkSession, source: Path, folder: Path, options: list[str]) -> DataFrame:
    """The usable events of a case, by the job's read step."""
    settings = settings_of_case(source, folder, options)
    storage = Storage(spark)
    storage.disable_checksum_files(str(folder))
    return ingest_events(
        spark,
        storage,
        settings.run,
        settings.read,
        settings.weights,
        clean=settings.clean,
        max_quarantined_share=settings.quality.max_quarantined_share,
        run_uri=str(folder),
        unfinished_uri=f"{folder}/_unfinished",
    ).events


def of_case(events: DataFrame, case: str) -> DataFrame:
    ids = [functions.concat(functions.lit(f"{case}/"), name).alias(name) for name in ("user_id", "item_id")]
    return events.select(*ids, "timestamp", "weight")


def pairs_of(run: Path) -> set[Pair]:
    """The pairs of all splits of a prepared run with the ids of the input."""
    users = dict(enumerate(table(run, "users.parquet")["user_id"].to_pylist()))
    items = dict(enumerate(table(run, "items.parquet")["item_id"].to_pylist()))
    rows: list[dict[str, Any]] = []
    for name in ("train", "validation", "test"):
        for file in sorted((run / name).glob("*.parquet")):
            rows += table(run, f"{name}/{file.name}").to_pylist()
    return {
        (users[row["user_index"]], items[row["item_index"]], row["timestamp"], row["weight"]) for row in rows
    }


def expected_pairs(case: str) -> set[Pair]:
    header, *lines = gzip.decompress((CASES / case / "expected.tsv.gz").read_bytes()).decode().splitlines()
    assert header.split("\t")[0] == "user_id"
    cells = [line.split("\t") for line in lines]
    return {(user, item, int(time), float(weight)) for user, item, time, weight in cells}


@pytest.fixture(scope="module")
def found(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[Pair] | InputError]:
    """The pairs of each case of READ, or why it was refused."""
    outcome: dict[str, set[Pair] | InputError] = {}
    events = []
    for case, (name, options) in READ.items():
        source = case_file(case, name)
        try:
            events.append(of_case(ingest(spark, source, tmp_path_factory.mktemp("run"), options), case))
            outcome[case] = set()
        except InputError as error:
            outcome[case] = error
    for row in split(reduce(DataFrame.union, events))[1]:
        case, user = row.user.split("/", 1)
        pairs = outcome[case]
        assert isinstance(pairs, set)
        pairs.add((user, row.item.split("/", 1)[1], row.time, row.weight))
    return outcome


@pytest.mark.parametrize("case", READ)
def test_published_file_gives_exactly_its_pairs(found: dict[str, set[Pair] | InputError], case: str) -> None:
    assert found[case] == expected_pairs(case)


def test_run_of_a_file_with_a_quarter_of_anonymous_events_passes_the_quality_gate(
    spark: SparkSession, tmp_path: Path
) -> None:
    source = case_file("f_pq_null_users", "null_users.parquet")
    job.prepare(spark, settings_of_case(source, tmp_path, ["--max-quarantined-share", "0.5"]))
    assert pairs_of(tmp_path / f"run={RUN_ID}") == expected_pairs("f_pq_null_users")


@pytest.mark.parametrize("case", REFUSED)
def test_file_that_needs_an_option_is_refused_with_it(spark: SparkSession, tmp_path: Path, case: str) -> None:
    name, option = REFUSED[case]
    with pytest.raises(InputError) as caught:
        ingest(spark, case_file(case, name), tmp_path, [])
    assert option in str(caught.value)


def test_one_id_in_four_spellings_gives_the_same_events(spark: SparkSession, tmp_path: Path) -> None:
    names = ("20_float_ids.csv", "20b_float_ids.jsonl", "20c_float_ids.parquet", "20d_decimal_ids.parquet")
    found = []
    for name in names:
        source = CASES / "../behaviour" / name
        if not source.exists():
            pytest.skip(f"the cases are not at {CASES}")
        found.append({tuple(row) for row in ingest(spark, source.resolve(), tmp_path / name, []).collect()})
    assert len(found[0]) == 64
    assert {user for user, *_ in found[0]} == {str(number) for number in range(8)}
    assert found[1:] == found[:1] * 3
