"""Ingestion: usable events, counts, quarantine and damaged files."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from ml.preparation.arguments import parse_arguments
from ml.preparation.clean.ingestion import IngestedEvents, ingest_events
from ml.preparation.clean.quarantine import write_quarantine
from ml.preparation.clean.validation import validate_events
from ml.preparation.errors import InputError
from ml.preparation.read.times import with_timestamp
from ml.preparation.spark.storage import Storage
from ml.settings.preparation import PreparationSettings, WeightSettings
from tests.ml.preparation.shop import RUN_ID, settings_for, write_shop

pytestmark = pytest.mark.spark

GOOD = [f"u{n},i{n},1600000000" for n in range(95)]
BAD = [*["u1,i1,never"] * 3, ",i1,1600000000", '"u1,i1,1600000000']


def storage_for(spark: SparkSession, run: Path) -> Storage:
    """Storage without checksum files, as the writer of a run has it."""
    storage = Storage(spark)
    storage.disable_checksum_files(str(run))
    return storage


def ingest(
    spark: SparkSession, settings: PreparationSettings, run: Path, max_share: float = 0.05
) -> IngestedEvents:
    return ingest_events(
        spark,
        storage_for(spark, run),
        settings.run,
        settings.read,
        settings.weights,
        clean=settings.clean,
        max_quarantined_share=max_share,
        run_uri=str(run),
        unfinished_uri=f"{run}/_unfinished",
    )


def quarantined(run: Path) -> list[dict[str, str]]:
    parts = sorted((run / "quarantine").iterdir())
    return [json.loads(line) for part in parts for line in gzip.decompress(part.read_bytes()).splitlines()]


def test_quarantine_has_each_unusable_row_with_its_reason_and_file(
    spark: SparkSession, tmp_path: Path
) -> None:
    source = write_shop(tmp_path, [*GOOD, *BAD], "a shop+1.csv")
    ingested = ingest(spark, settings_for(source, "prepared"), tmp_path / "run")
    reasons = {"unparsable_time": 3, "missing_user": 1, "unbalanced_quotes": 1}
    assert (ingested.n_usable, ingested.quarantined) == (95, reasons)
    assert ingested.sources == (f"file:{source}",)
    rows = quarantined(tmp_path / "run")
    assert sorted(row["raw"] for row in rows) == sorted(BAD)
    assert Counter(row["reason"] for row in rows) == reasons
    assert {row["source"] for row in rows} == {f"file:{source}"}
    assert ingested.events.columns == ["user_id", "item_id", "timestamp", "weight"]
    assert ingested.events.count() == 95


def test_too_large_share_of_unusable_rows_is_an_error_and_keeps_the_quarantine(
    spark: SparkSession, tmp_path: Path
) -> None:
    source = write_shop(tmp_path, [*GOOD, *BAD])
    run = tmp_path / "run"
    with pytest.raises(InputError, match=r"5 of 100 rows cannot be used .*; all: .*/run/quarantine/"):
        ingest(spark, settings_for(source, "prepared"), run, max_share=0.049)
    assert len(quarantined(run)) == 5
    assert [path.name for path in run.iterdir()] == ["quarantine"]


def test_run_without_unusable_rows_has_no_quarantine(spark: SparkSession, tmp_path: Path) -> None:
    ingest(spark, settings_for(write_shop(tmp_path, GOOD), "prepared"), tmp_path / "run")
    assert not (tmp_path / "run" / "quarantine").exists()


def test_quarantine_files_are_bounded_and_do_not_depend_on_partitioning(
    spark: SparkSession, tmp_path: Path
) -> None:
    bad = [*(f"u{n},i{n},never" for n in range(20)), *["all,equal,never"] * 25]
    contents = []
    for n_partitions, lines in ((1, [*bad, *GOOD]), (7, [*GOOD, *bad[::-1]])):
        rows = [(line, "file:/shop.csv", None, *line.split(","), None) for line in lines]
        columns = (
            "raw string, source string, problem string, user string, item string, time string, value string"
        )
        events = spark.createDataFrame(rows, columns).repartition(n_partitions)
        run = tmp_path / f"run{n_partitions}"
        write_quarantine(
            storage_for(spark, run),
            validate_events(with_timestamp(events, "seconds"), WeightSettings()),
            len(bad),
            unfinished=f"{run}/_unfinished",
            run=str(run),
            rows_per_file=10,
        )
        parts = sorted((run / "quarantine").iterdir())
        assert all(len(gzip.decompress(part.read_bytes()).splitlines()) <= 10 for part in parts)
        contents.append({part.name: part.read_bytes() for part in parts})
    assert contents[0] == contents[1]
    assert len(quarantined(tmp_path / "run1")) == len(bad)


def test_events_have_the_weights_of_the_command_line(spark: SparkSession, tmp_path: Path) -> None:
    source = tmp_path / "shop.csv"
    kinds = ["view", "purchase", "view", "search"]
    lines = [f"u{n},i{n},1600000000,{kind}" for n, kind in enumerate(kinds)]
    source.write_text("\n".join(["user,item,time,event_type", *lines]))
    arguments = ["--input", str(source), "--output", str(tmp_path), "--run-id", RUN_ID]
    weights = ["--event-weight", "view=1", "--event-weight", "purchase=5"]
    settings = parse_arguments([*arguments, *weights])
    ingested = ingest(spark, settings, tmp_path / "run", max_share=0.5)
    assert sorted(row["weight"] for row in ingested.events.collect()) == [1.0, 1.0, 5.0]
    assert ingested.quarantined == {"unknown_event": 1}


def test_movielens_without_a_header_has_its_ratings_as_weights(spark: SparkSession, tmp_path: Path) -> None:
    source = tmp_path / "u.data"
    source.write_text("".join(f"{n}\t{n}\t{n + 1}\t881250949\n" for n in range(5)))
    arguments = ["--input", str(source), "--output", str(tmp_path), "--run-id", RUN_ID]
    settings = parse_arguments([*arguments, "--weight-column", "rating"])
    ingested = ingest(spark, settings, tmp_path / "run")
    assert sorted(row["weight"] for row in ingested.events.collect()) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_damaged_file_among_others_is_named(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    for number in range(3):
        path = write_shop(folder, [f"u{n},i{n * 7919},1600000000" for n in range(20_000)], f"{number}.csv")
        packed = gzip.compress(path.read_bytes())
        (folder / f"{number}.csv.gz").write_bytes(packed[:-100] if number == 1 else packed)
        path.unlink()
    with pytest.raises(InputError, match=r"/1\.csv\.gz: damaged file: .*Unexpected end of input stream"):
        ingest(spark, settings_for(folder, "prepared"), tmp_path / "run")
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
