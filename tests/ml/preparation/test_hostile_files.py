"""Over 200 hostile files: each gives an error of one line, or rows that are all counted."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import pytest
from pyspark.sql import SparkSession, functions

from ml.manifest import load
from ml.preparation import job
from ml.preparation.clean.ingestion import IngestedEvents, ingest_events
from ml.preparation.detect.columns import ColumnNames
from ml.preparation.detect.layout import TableLayout
from ml.preparation.errors import InputError
from ml.preparation.read.damaged_files import find_damaged_file
from ml.preparation.read.events import read_events
from ml.preparation.read.layouts import LayoutFinder
from ml.preparation.read.sources import list_sources
from ml.preparation.spark.storage import Storage, StoredFile
from ml.settings.preparation import ReadSettings, WeightSettings
from tests.ml.preparation.hostile import HostileFile, hostile_files
from tests.ml.preparation.shop import RUN_ID, settings_for

pytestmark = pytest.mark.spark

SEED = 4


def ingest(spark: SparkSession, source: Path, run: Path) -> IngestedEvents:
    return ingest_events(
        spark,
        Storage(spark),
        settings_for(source, run).run,
        ReadSettings(),
        WeightSettings(),
        max_quarantined_share=1,
        run_uri=str(run),
        unfinished_uri=f"{run}/_unfinished",
    )


def error_of(spark: SparkSession, path: Path, run: Path, listed: Mapping[str, StoredFile]) -> str | None:
    """The error of a run with this file as its only input; None if the file can be read.

    Args:
        spark: the session.
        path: the file.
        run: folder of the run.
        listed: the files of its folder that are not empty, by name.
    """
    storage = Storage(spark)
    try:
        files = [listed[path.name]] if path.name in listed else list_sources(storage, str(path), RUN_ID)
        if not is_text(spark, files[0]):
            read_events(spark, storage, files, ReadSettings(), ColumnNames())
        # Only these can be damaged beyond their first bytes; undamaged ones are ingested with all others.
        if path.suffix in (".gz", ".bz2", ".parquet") and find_damaged_file(spark, storage, files):
            ingest(spark, path, run)
            pytest.fail(f"{path.name} is damaged, but no error was raised")
    except InputError as error:
        return str(error)
    return None


def is_text(spark: SparkSession, file: StoredFile) -> bool:
    """Whether a file is text or JSON lines whose layout is found: then the run of all files reads it."""
    try:
        found = LayoutFinder(spark, Storage(spark), ReadSettings(), ColumnNames()).find(file.uri)
    except InputError:
        return False
    return found is not None and not isinstance(found.layout, TableLayout)


def quarantined_by_file(run: Path) -> Counter[str]:
    """The number of quarantined rows of each file; each row has a reason."""
    by_file: Counter[str] = Counter()
    for part in (run / "quarantine").iterdir():
        for line in gzip.decompress(part.read_bytes()).splitlines():
            row = json.loads(line)
            assert row["reason"]
            by_file[unquote(row["source"]).rsplit("/", 1)[-1]] += 1
    return by_file


def test_every_file_is_an_error_or_has_all_its_rows_accounted_for(
    spark: SparkSession, tmp_path: Path
) -> None:
    hostile = hostile_files(SEED)
    assert len(hostile) >= 200
    shop = tmp_path / "shop"
    shop.mkdir()
    for each in hostile:
        (shop / each.name).write_bytes(each.content)
    listed = {each.uri.rsplit("/", 1)[-1]: each for each in list_sources(Storage(spark), str(shop), RUN_ID)}
    accepted: dict[str, HostileFile] = {}
    for each in hostile:
        path = shop / each.name
        error = error_of(spark, path, tmp_path / "alone", listed)
        if error is None:
            accepted[each.name] = each
        else:
            assert each.name in error
            assert "\n" not in error
            assert len(error) < 2000
            path.unlink()
    # Unreadable files are errors, and files with some unusable rows are read.
    assert 50 < len(accepted) < len(hostile) - 50

    settings = settings_for(shop, tmp_path, min_interactions=3, max_quarantined_share=1.0)
    counts = job.prepare(spark, settings).counts
    run = tmp_path / f"run={RUN_ID}"
    assert load(run / "manifest.json").counts == counts
    assert counts.events_read == sum(each.n_rows for each in accepted.values())
    accounted = counts.kept + sum(counts.quarantined.values()) + counts.duplicates + counts.filtered
    assert accounted == counts.events_read
    assert len(counts.quarantined) >= 10

    by_file = quarantined_by_file(run)
    assert sum(by_file.values()) == sum(counts.quarantined.values())
    ingested = ingest(spark, shop, tmp_path / "again")
    mark = functions.substring("user_id", 1, 4).alias("mark")
    usable = {row["mark"]: row["count"] for row in ingested.events.groupBy(mark).count().collect()}
    for name, each in accepted.items():
        if "_flipped" not in name:  # its ids may start with other bytes
            assert usable.get(name[:4], 0) + by_file[name] == each.n_rows, name
