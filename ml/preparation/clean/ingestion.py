"""Ingestion: raw files to validated events, the job's ``read`` step.

The input is scanned once. All events, usable or not, are written as a checkpoint to the run's temporary
folder; counts, quarantine and later steps read the checkpoint. It is ORC, which writes text in two thirds of
Parquet's time. A compressed text file cannot be read in parallel, but its checkpoint can, and all counts
refer to the same events even if the input changes during the run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.clean.quarantine import QUARANTINE_FOLDER, write_quarantine
from ml.preparation.clean.validation import usable_events, validate_events
from ml.preparation.detect.columns import ColumnNames
from ml.preparation.errors import InputError
from ml.preparation.read.damaged_files import find_damaged_file
from ml.preparation.read.events import read_events
from ml.preparation.read.sources import list_sources
from ml.preparation.spark.storage import Storage, StoredFile, literal_path
from ml.preparation.spark.totals import write_with_totals
from ml.settings.preparation import ReadSettings, RunSettings, WeightSettings

_log = logging.getLogger("ml.preparation")
_MAX_EXAMPLES = 3
_CHECKPOINT_OPTIONS = {
    "compression": "snappy",
    "orc.dictionary.key.threshold": "0",  # no dictionaries: most ids are distinct
}


@dataclass(frozen=True)
class IngestedEvents:
    """The usable events of a run, with counts of all rows that were read."""

    events: DataFrame  # user_id, item_id, timestamp, weight; from a checkpoint
    n_usable: int
    quarantined: Mapping[str, int]  # rows by reason
    sources: tuple[str, ...]  # URIs of the files that were read


def ingest_events(
    spark: SparkSession,
    storage: Storage,
    run: RunSettings,
    read: ReadSettings,
    weights: WeightSettings,
    *,
    max_quarantined_share: float,
    run_uri: str,
    unfinished_uri: str,
) -> IngestedEvents:
    """Read and validate all events, and write those that cannot be used to the run's quarantine.

    Args:
        spark: the session.
        storage: file systems of the input and the run.
        run: input and run id.
        read: format, columns and days of the input.
        weights: how the weight of an event is determined.
        max_quarantined_share: a larger share of unusable rows is an error.
        run_uri: folder of the run.
        unfinished_uri: temporary folder of the run; deleted if the input cannot be used.

    Raises:
        InputError: the input cannot be read, has no events or too many unusable rows, whose quarantine is
            then kept.
    """
    files = list_sources(storage, run.input, run.run_id, read.look_back_days)
    events = read_events(spark, storage, files, read.format, ColumnNames.from_settings(read, weights))
    validated = validate_events(events, weights)
    checked, n_usable, n_read = _checkpoint(spark, storage, validated, files, unfinished_uri)
    quarantined = count_by_reason(checked) if n_usable < n_read else {}
    n_unusable = sum(quarantined.values())
    write_quarantine(
        storage, checked, n_unusable, unfinished=f"{unfinished_uri}/{QUARANTINE_FOLDER}", run=run_uri
    )
    try:
        require_usable(checked, n_usable, quarantined, run.input, max_quarantined_share)
    except InputError as error:
        storage.delete(unfinished_uri)
        kept = f"; all: {run_uri}/{QUARANTINE_FOLDER}/" if n_unusable else ""
        raise InputError(f"{error}{kept}") from None
    return IngestedEvents(usable_events(checked), n_usable, quarantined, tuple(each.uri for each in files))


def count_by_reason(validated: DataFrame) -> dict[str, int]:
    """The number of events that cannot be used, by reason."""
    unusable = validated.where(F.col("reason").isNotNull())
    by_reason = {row["reason"]: row["count"] for row in unusable.groupBy("reason").count().collect()}
    return dict(sorted(by_reason.items()))


def require_usable(
    validated: DataFrame, n_usable: int, quarantined: Mapping[str, int], source: str, max_share: float
) -> None:
    """Log the counts and check the share of unusable rows.

    Raises:
        InputError: there are no rows, or too many unusable ones; the message shows the first of them.
    """
    n_unusable = sum(quarantined.values())
    n_read = n_usable + n_unusable
    listed = ", ".join(f"{reason} {n}" for reason, n in quarantined.items()) or "none"
    _log.info("read: %d events, %d quarantined (%s)", n_read, n_unusable, listed)
    if n_read == 0:
        raise InputError(f"{source}: no events in it, only a header")
    if n_unusable > max_share * n_read:
        unusable = validated.where(F.col("reason").isNotNull()).select("reason", "raw")
        examples = "; ".join(f"{row['reason']}: {row['raw']!r}" for row in unusable.take(_MAX_EXAMPLES))
        raise InputError(
            f"{source}: {n_unusable} of {n_read} rows cannot be used ({listed}), more than "
            f"--max-quarantined-share {max_share:g}; first: {examples}"
        )


def _checkpoint(
    spark: SparkSession, storage: Storage, validated: DataFrame, files: list[StoredFile], unfinished_uri: str
) -> tuple[DataFrame, int, int]:
    """Write the events to the temporary folder and read them back.

    Returns:
        The events, the number of usable ones, and the number of all.

    Raises:
        InputError: a file is damaged; the message names it.
    """
    folder = f"{unfinished_uri}/checked"
    is_usable = F.col("reason").isNull()
    totals = (F.count(F.when(is_usable, True)).alias("n_usable"), F.count("*").alias("n_read"))
    try:
        found = write_with_totals(
            validated, totals, lambda events: events.write.options(**_CHECKPOINT_OPTIONS).orc(folder)
        )
    except (Py4JError, PySparkException) as error:
        storage.delete(unfinished_uri)
        damaged = find_damaged_file(spark, storage, files)
        if damaged is None:
            raise
        raise InputError(damaged) from error
    checked = spark.read.schema(validated.schema).orc(literal_path(folder))
    return checked, found["n_usable"], found["n_read"]
