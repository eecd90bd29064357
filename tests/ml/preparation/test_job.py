"""The job as a whole: contents of a complete run, and repeated, failed and interrupted attempts."""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ml import manifest as manifests
from ml.contract import (
    ITEM_FEATURES_FILE,
    ITEMS_FILE,
    POPULARITY_FILE,
    SPLITS,
    USER_FEATURES_FILE,
    USERS_FILE,
    run_seconds,
)
from ml.preparation import job
from ml.preparation.detect.record import record_line
from ml.preparation.errors import InputError, StepError
from ml.preparation.features.transforms import WINDOWS_DAYS
from ml.preparation.spark.storage import Storage
from ml.preparation.write.run_writer import RunWriter
from tests.ml.conftest import spark_conf
from tests.ml.preparation.shop import (
    COMPLETE_RUN,
    DATA_FILES,
    RUN_ID,
    START_S,
    data_files,
    files_of,
    prepare,
    settings_for,
    shop_lines,
    table,
    write_shop,
)

pytestmark = pytest.mark.spark

QUARANTINE = "quarantine/part-00000.json.gz"
LEFT_OVER = (
    "train/part-00007.parquet",
    "quarantine/part-00009.json.gz",
    "manifest.json",
    "_unfinished/splits/x",
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with every kind of event: usable, repeated, of a user with few events, and unusable."""
    lines = shop_lines()
    older = [line.replace(f"{START_S}", f"{START_S - 5}") for line in lines if line.endswith(f",{START_S}")]
    few = ["few,i01,1600000000", "few,i02,1600000000"]
    unusable = [",i01,1600000000", "u01,i01,never", "u01"]
    return write_shop(tmp_path_factory.mktemp("shop"), [*lines, *older, *few, *unusable])


@pytest.fixture(scope="module")
def prepared(spark: SparkSession, shop: Path) -> Path:
    """The run of the shop, prepared over the files of an incomplete attempt; read only."""
    for name in LEFT_OVER:
        path = shop.parent / "prepared" / f"run={RUN_ID}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left over")
    return prepare(spark, shop, shop.parent / "prepared")


@pytest.mark.parametrize("file_format", ["parquet", "orc", "json"])
def test_spark_writes_no_success_marker(spark: SparkSession, tmp_path: Path, file_format: str) -> None:
    # The event rule for complete runs matches every _SUCCESS object below the run's prefix.
    folder = tmp_path / "run=20261123T020000Z" / "_unfinished" / "table"
    spark.range(3).write.format(file_format).save(str(folder))
    assert {path.name.split("-")[0] for path in folder.iterdir() if path.suffix != ".crc"} == {"part"}


def test_incomplete_attempt_is_deleted(prepared: Path) -> None:
    assert set(files_of(prepared)) == {*COMPLETE_RUN, QUARANTINE}


def test_files_of_a_run_match_its_manifest(shop: Path, prepared: Path) -> None:
    manifest = manifests.load(prepared / "manifest.json")
    manifests.verify_files(manifest, {name: prepared / name for name in manifest.files})
    assert {name: table(prepared, name).num_rows for name in DATA_FILES} == {
        name: entry.rows for name, entry in manifest.files.items()
    }
    assert manifest.run_id == RUN_ID
    assert manifest.sources == (f"file:{shop}",)


def test_manifest_says_how_the_input_was_read(prepared: Path) -> None:
    (layout,) = manifests.load(prepared / "manifest.json").layouts
    assert layout["columns"] == {"user": "user_id", "item": "item_id", "time": "timestamp"}
    assert record_line(layout) == (
        "1 file(s) as text separated by comma, utf-8, with header, user = user_id, item = item_id, "
        "time = timestamp, times as seconds, UTC if they have no zone"
    )


def test_counts_account_for_every_event(prepared: Path) -> None:
    counts = manifests.load(prepared / "manifest.json").counts
    assert counts.quarantined == {"missing_user": 1, "unparsable_row": 1, "unparsable_time": 1}
    assert (counts.events_read, counts.duplicates, counts.filtered) == (125, 12, 2)
    assert (counts.train, counts.validation, counts.test) == (84, 12, 12)
    assert counts.users == 12
    assert counts.items == len({line.split(",")[1] for line in shop_lines()})
    assert (counts.users_read, counts.items_read) == (13, counts.items)


def test_files_have_the_columns_of_the_contract(prepared: Path) -> None:
    interactions = {"user_index": "int32", "item_index": "int32", "timestamp": "int64", "weight": "float"}
    names = ("n_interactions", *(f"n_interactions_{days}d" for days in WINDOWS_DAYS))
    counts = {**dict.fromkeys(names, "int64"), "total_weight": "double"}
    expected = {
        USERS_FILE: {"user_id": "string", "user_index": "int32"},
        ITEMS_FILE: {"item_id": "string", "item_index": "int32"},
        POPULARITY_FILE: {"item_index": "int32", "n_interactions": "int64"},
        USER_FEATURES_FILE: {
            "user_index": "int32",
            **counts,
            "first_timestamp": "int64",
            "last_timestamp": "int64",
            "recency_days": "double",
            "last_items": "list<element: int32>",
        },
        ITEM_FEATURES_FILE: {
            "item_index": "int32",
            **counts,
            "last_timestamp": "int64",
            "recency_days": "double",
        },
        **{f"{split}/part-00000.parquet": interactions for split in SPLITS},
    }
    for name, columns in expected.items():
        assert {field.name: str(field.type) for field in table(prepared, name).schema} == columns, name


def test_columns_have_one_encoding_each(prepared: Path) -> None:
    """Several encodings would be listed in an order that differs between processes."""
    for name in DATA_FILES:
        group = pq.ParquetFile(prepared / name).metadata.row_group(0)
        encodings = [group.column(number).encodings for number in range(group.num_columns)]
        assert all(len(each) == 1 for each in encodings), (name, encodings)


def test_features_cover_the_kept_pairs(prepared: Path) -> None:
    counts = manifests.load(prepared / "manifest.json").counts
    for name, n_rows in ((USER_FEATURES_FILE, counts.users), (ITEM_FEATURES_FILE, counts.items)):
        features = table(prepared, name)
        ids = features.column(0).to_pylist()
        assert ids == sorted(ids)
        assert len(ids) == n_rows
        assert sum(features.column("n_interactions").to_pylist()) == counts.kept


def test_files_are_sorted(prepared: Path) -> None:
    for name in (USERS_FILE, ITEMS_FILE, POPULARITY_FILE):
        index = table(prepared, name).column("user_index" if name == USERS_FILE else "item_index")
        assert index.to_pylist() == list(range(len(index)))
    train = table(prepared, "train/part-00000.parquet")
    order = list(zip(train["user_index"].to_pylist(), train["timestamp"].to_pylist(), strict=True))
    assert order == sorted(order)


def test_complete_run_is_not_prepared_again(spark: SparkSession, shop: Path, prepared: Path) -> None:
    before = files_of(prepared)
    with pytest.raises(InputError, match="already prepared; give another --run-id, or --overwrite"):
        prepare(spark, shop, prepared.parent)
    assert files_of(prepared) == before


def test_bytes_depend_on_the_events_only(spark: SparkSession, tmp_path: Path) -> None:
    lines = shop_lines()
    once = settings_for(write_shop(tmp_path, lines), tmp_path / "once")
    job.prepare(spark, once, rows_per_file=40)
    first = data_files(tmp_path / "once" / f"run={RUN_ID}")
    shuffled = random.Random(1).sample(lines, len(lines))
    for number in range(4):
        write_shop(tmp_path / "parts", shuffled[number::4], f"{number}.csv")
    with spark_conf(spark, "spark.sql.shuffle.partitions", "3"):
        job.prepare(spark, settings_for(tmp_path / "parts", tmp_path / "again"), rows_per_file=40)
    assert {f"train/part-0000{number}.parquet" for number in range(3)} <= set(first)
    assert data_files(tmp_path / "again" / f"run={RUN_ID}") == first


def test_temporary_files_are_in_the_scratch_folder_and_deleted(spark: SparkSession, tmp_path: Path) -> None:
    left = tmp_path / "scratch" / f"run={RUN_ID}" / "splits" / "of a killed attempt"
    left.parent.mkdir(parents=True)
    left.write_text("left over")
    settings = settings_for(write_shop(tmp_path, shop_lines()), tmp_path / "prepared")
    writer = RunWriter(spark, Storage(spark), replace(settings.run, scratch=f"{tmp_path}/scratch/"))
    assert writer.unfinished == f"{tmp_path}/scratch/run={RUN_ID}"
    job.prepare(spark, replace(settings, run=replace(settings.run, scratch=f"{tmp_path}/scratch/")))
    assert set(files_of(tmp_path / "prepared" / f"run={RUN_ID}")) == COMPLETE_RUN
    assert list((tmp_path / "scratch").iterdir()) == []


class BlockFolder(logging.Handler):
    """Creates a file where Spark is about to write a folder, once the id maps have been logged."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("index: "):
            self._path.write_text("in the way")


def test_run_that_fails_while_writing_is_incomplete(spark: SparkSession, tmp_path: Path) -> None:
    run = tmp_path / "prepared" / f"run={RUN_ID}"
    handler, logger = BlockFolder(run / "_unfinished" / "splits"), logging.getLogger("ml.preparation")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(StepError, match=r"^write failed: .*splits already exists"):
            prepare(spark, write_shop(tmp_path, shop_lines()), tmp_path / "prepared")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    written = {path.name for path in tmp_path.rglob("*")}
    assert USERS_FILE in written
    assert not written & {"_SUCCESS", "_unfinished"}


def test_held_out_events_that_are_later_than_the_run_are_counted_in_a_warning(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_s = run_seconds(RUN_ID)
    later = [f"u{user:02d},i{item:02d},{run_s + item + 1}" for user in range(2) for item in range(20, 23)]
    few = [f"few,i01,{run_s + 9}"]  # usable, but in no split
    prepare(spark, write_shop(tmp_path, [*shop_lines(), *later, *few]), tmp_path / "prepared")
    assert f"4 of 24 held-out events are later than the run {RUN_ID}" in caplog.text
