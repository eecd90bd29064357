"""The read step: counts, quarantine, and what a run starts from."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from ml.preparation.arguments import Settings, parse_arguments
from ml.preparation.clean import quarantine
from ml.preparation.clean.ingestion import Intake, take_in
from ml.preparation.errors import InputError
from ml.preparation.spark.storage import Storage

pytestmark = pytest.mark.spark

RUN_ID = "20261123T020000Z"
GOOD = [f"u{n},i{n},1600000000" for n in range(95)]
BAD = [*["u1,i1,never"] * 3, ",i1,1600000000", '"u1,i1,1600000000']


def write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["user_id,item_id,timestamp", *lines, ""]), encoding="utf-8")
    return path


def asked(source: Path, **changes: Any) -> Settings:
    return Settings(str(source), "prepared", RUN_ID, **changes)


def intake(spark: SparkSession, settings: Settings, run: Path) -> Intake:
    storage = Storage(spark)
    storage.without_checksum_files(str(run))  # as the run's writer does
    limit = 0.05 if settings.max_quarantined_share is None else settings.max_quarantined_share
    return take_in(spark, storage, settings, max_share=limit, run=str(run), unfinished=f"{run}/_unfinished")


def quarantined(run: Path) -> list[dict[str, str]]:
    parts = sorted((run / "quarantine").iterdir())
    return [json.loads(line) for part in parts for line in gzip.decompress(part.read_bytes()).splitlines()]


def test_the_quarantine_holds_each_unusable_row_with_its_reason_and_file(
    spark: SparkSession, tmp_path: Path
) -> None:
    source = write(tmp_path / "a shop+1.csv", [*GOOD, *BAD])
    taken = intake(spark, asked(source), tmp_path / "run")
    reasons = {"unparsable_time": 3, "missing_user": 1, "unbalanced_quotes": 1}
    assert (taken.n_usable, taken.quarantined) == (95, reasons)
    assert taken.sources == (f"file:{source}",)
    rows = quarantined(tmp_path / "run")
    assert sorted(row["raw"] for row in rows) == sorted(BAD)
    assert Counter(row["reason"] for row in rows) == reasons
    assert {row["source"] for row in rows} == {f"file:{source}"}
    assert taken.events.columns == ["user_id", "item_id", "timestamp", "weight"]
    assert taken.events.count() == 95


def test_a_share_of_bad_rows_beyond_the_limit_is_refused_and_still_to_be_looked_at(
    spark: SparkSession, tmp_path: Path
) -> None:
    source = write(tmp_path / "shop.csv", [*GOOD, *BAD])
    run = tmp_path / "run"
    with pytest.raises(InputError, match=r"5 of 100 rows cannot be used .*; all: .*/run/quarantine/"):
        intake(spark, asked(source, max_quarantined_share=0.049), run)
    assert len(quarantined(run)) == 5
    assert [path.name for path in run.iterdir()] == ["quarantine"]


def test_a_run_without_bad_rows_has_no_quarantine(spark: SparkSession, tmp_path: Path) -> None:
    intake(spark, asked(write(tmp_path / "shop.csv", GOOD)), tmp_path / "run")
    assert not (tmp_path / "run" / "quarantine").exists()


def test_quarantine_files_are_bounded_and_alike_however_the_rows_lie(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "ROWS_PER_FILE", 10)
    bad = [*(f"u{n},i{n},never" for n in range(20)), *["all,alike,never"] * 25]
    contents = []
    for number, lines in enumerate(([*bad, *GOOD], [*GOOD, *bad[::-1]])):
        run = tmp_path / f"run{number}"
        intake(spark, asked(write(tmp_path / "shop.csv", lines), max_quarantined_share=1.0), run)
        parts = sorted((run / "quarantine").iterdir())
        assert all(len(gzip.decompress(part.read_bytes()).splitlines()) <= 10 for part in parts)
        contents.append({part.name: part.read_bytes() for part in parts})
        spark.conf.set("spark.sql.files.maxPartitionBytes", "512")
    spark.conf.unset("spark.sql.files.maxPartitionBytes")
    assert contents[0] == contents[1]
    assert len(quarantined(tmp_path / "run0")) == len(bad)


def test_events_are_weighed_as_the_command_line_says(spark: SparkSession, tmp_path: Path) -> None:
    source = tmp_path / "shop.csv"
    kinds = ["view", "purchase", "view", "search"]
    lines = [f"u{n},i{n},1600000000,{kind}" for n, kind in enumerate(kinds)]
    source.write_text("\n".join(["user,item,time,event_type", *lines]))
    arguments = ["--input", str(source), "--output", str(tmp_path), "--run-id", RUN_ID]
    weights = ["--event-weight", "view=1", "--event-weight", "purchase=5", "--max-quarantined-share", "0.5"]
    settings = parse_arguments([*arguments, *weights])
    taken = intake(spark, settings, tmp_path / "run")
    assert sorted(row["weight"] for row in taken.events.collect()) == [1.0, 1.0, 5.0]
    assert taken.quarantined == {"unknown_event": 1}


def test_ratings_weigh_movielens_events_without_a_header(spark: SparkSession, tmp_path: Path) -> None:
    source = tmp_path / "u.data"
    source.write_text("".join(f"{n}\t{n}\t{n + 1}\t881250949\n" for n in range(5)))
    arguments = ["--input", str(source), "--output", str(tmp_path), "--run-id", RUN_ID]
    settings = parse_arguments([*arguments, "--weight-column", "rating"])
    taken = intake(spark, settings, tmp_path / "run")
    assert sorted(row["weight"] for row in taken.events.collect()) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_the_damaged_one_of_many_files_is_named(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    for number in range(3):
        path = write(folder / f"{number}.csv", [f"u{n},i{n * 7919},1600000000" for n in range(20_000)])
        packed = gzip.compress(path.read_bytes())
        (folder / f"{number}.csv.gz").write_bytes(packed[:-100] if number == 1 else packed)
        path.unlink()
    with pytest.raises(InputError, match=r"/1\.csv\.gz: damaged file: .*Unexpected end of input stream"):
        intake(spark, asked(folder), tmp_path / "run")
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
