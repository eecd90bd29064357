"""200 hostile files: each is quarantined or refused with one clear line, and no row is lost in silence."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest
from pyspark.sql import SparkSession, functions

from ml.manifest import load
from ml.preparation import job
from ml.preparation.arguments import Settings
from ml.preparation.clean.ingestion import Intake, take_in
from ml.preparation.errors import InputError
from ml.preparation.read.columns import ColumnNames
from ml.preparation.read.events import read_events
from ml.preparation.read.sources import input_files
from ml.preparation.spark.storage import Storage
from tests.ml.preparation.hostile import HostileFile, hostile_files

pytestmark = pytest.mark.spark

RUN_ID = "20261123T020000Z"
SEED = 4


def take(spark: SparkSession, source: Path, run: Path) -> Intake:
    settings = Settings(str(source), str(run), RUN_ID)
    return take_in(
        spark, Storage(spark), settings, max_share=1, run=str(run), unfinished=f"{run}/_unfinished"
    )


def refusal(spark: SparkSession, path: Path, run: Path) -> str | None:
    """Why a file is refused on its own, by its first bytes or, if it can be damaged further on, wholly."""
    storage = Storage(spark)
    try:
        files = input_files(storage, str(path), RUN_ID)
        read_events(spark, storage, files, "auto", ColumnNames())
        if path.suffix in (".gz", ".bz2", ".parquet"):
            take(spark, path, run)
            storage.delete(str(run))
    except InputError as error:
        return str(error)
    return None


def test_each_is_refused_in_one_line_that_names_it_or_all_its_rows_are_accounted_for(
    spark: SparkSession, tmp_path: Path
) -> None:
    hostile = hostile_files(SEED)
    assert len(hostile) >= 200
    shop = tmp_path / "shop"
    shop.mkdir()
    accepted: dict[str, HostileFile] = {}
    for each in hostile:
        path = shop / each.name
        path.write_bytes(each.content)
        refused = refusal(spark, path, tmp_path / "alone")
        if refused is None:
            accepted[each.name] = each
        else:
            assert each.name in refused
            assert "\n" not in refused
            assert len(refused) < 2000
            path.unlink()
    # Neither all nor nothing: what is refused by kind is, and what is broken in places is read.
    assert 50 < len(accepted) < len(hostile) - 50

    settings = Settings(str(shop), str(tmp_path), RUN_ID, min_interactions=3, max_quarantined_share=1.0)
    counts = job.prepare(spark, settings).counts
    run = tmp_path / f"run={RUN_ID}"
    assert load(run / "manifest.json").counts == counts
    assert counts.events_read == sum(each.n_rows for each in accepted.values())
    accounted = counts.kept + sum(counts.quarantined.values()) + counts.duplicates + counts.filtered
    assert accounted == counts.events_read
    assert len(counts.quarantined) >= 10

    by_file: Counter[str] = Counter()
    for part in (run / "quarantine").iterdir():
        for line in gzip.decompress(part.read_bytes()).splitlines():
            row = json.loads(line)
            assert row["reason"]
            by_file[unquote(row["source"]).rsplit("/", 1)[-1]] += 1
    assert sum(by_file.values()) == sum(counts.quarantined.values())
    taken = take(spark, shop, tmp_path / "again")
    of_file = functions.substring("user_id", 1, 4).alias("mark")
    usable = {row["mark"]: row["count"] for row in taken.events.groupBy(of_file).count().collect()}
    for name, each in accepted.items():
        if "_flipped" not in name:  # its marks may be flipped, too
            assert usable.get(name[:4], 0) + by_file[name] == each.n_rows, name
