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
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import run_seconds
from ml.preparation.clean.quarantine import QUARANTINE_FOLDER, write_quarantine
from ml.preparation.clean.validation import LEFT_OUT, unusable_events, usable_events, validate_events
from ml.preparation.detect.as_before import PreviousLayouts
from ml.preparation.detect.columns import ColumnNames
from ml.preparation.errors import InputError
from ml.preparation.read.conversion import Converter
from ml.preparation.read.damaged_files import find_damaged_file
from ml.preparation.read.events import read_events
from ml.preparation.read.sources import list_sources
from ml.preparation.spark.storage import Storage, StoredFile, literal_path
from ml.preparation.spark.totals import Totals, write_with_totals
from ml.settings.preparation import CleanSettings, ReadSettings, RunSettings, WeightSettings

_log = logging.getLogger("ml.preparation")
_MAX_EXAMPLES = 3
# By quarantine reason: the option that may use the rows after all.
_OPTIONS = {
    "missing_user": "give --anonymous drop if events without a user are normal",
    "unparsable_time": "give --time-format, such as --time-format '%d.%m.%Y %H:%M'",
    "time_out_of_range": "give --time-format if the unit of the times is another",
    "later_than_run": "events more than a day later than the run; give a later --run-id",
    "unparsable_row": "give --separator, --quote or --escape if the fields are split in a wrong way",
    "unbalanced_quotes": "give --quote none if a quote is a character like any other",
    "unknown_event": "give each event type a weight, as in --event-weight view=1, or 0 to leave it out",
}
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
    left_out: Mapping[str, int]  # rows that the settings leave out, by reason
    sources: tuple[str, ...]  # URIs of the files that were read
    layouts: tuple[Mapping[str, Any], ...] = ()  # how they were read
    n_future: int = 0  # usable events that are later than the run, by a day at most


def ingest_events(
    spark: SparkSession,
    storage: Storage,
    run: RunSettings,
    read: ReadSettings,
    weights: WeightSettings,
    *,
    clean: CleanSettings | None = None,
    previous: PreviousLayouts | None = None,
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
        clean: which ids are missing, and what becomes of events without a user.
        previous: how the previous run read the input; None to detect all layouts.
        max_quarantined_share: a larger share of unusable rows is an error.
        run_uri: folder of the run.
        unfinished_uri: temporary folder of the run; deleted if the input cannot be used.

    Raises:
        InputError: the input cannot be read, has no events or too many unusable rows, whose quarantine is
            then kept.
    """
    files = list_sources(storage, run.input, run.run_id, read.look_back_days)
    converter = Converter(spark, storage, unfinished_uri)
    readable = converter.readable_files(files)
    names = ColumnNames.from_settings(read, weights)
    found = read_events(spark, storage, readable, read, names, previous=previous)
    events = converter.with_original_source(found.rows)
    run_s = run_seconds(run.run_id)
    validated = validate_events(events, weights, clean, run_s=run_s, has_time=not read.no_time)
    checked, totals = _checkpoint(spark, storage, validated, readable, unfinished_uri, run_s=run_s)
    n_usable = totals["n_usable"]
    reasons = count_by_reason(checked) if n_usable < totals["n_read"] else {}
    quarantined = {reason: n for reason, n in reasons.items() if reason not in LEFT_OUT}
    left_out = {reason: n for reason, n in reasons.items() if reason in LEFT_OUT}
    if read.no_time:
        _log.warning(
            "read: no time: each user's last events cannot be held out, but two chosen by a hash; the "
            "evaluation is weaker than one on later events"
        )
    n_unusable = sum(quarantined.values())
    write_quarantine(
        storage, checked, n_unusable, unfinished=f"{unfinished_uri}/{QUARANTINE_FOLDER}", run=run_uri
    )
    try:
        require_usable(checked, n_usable, quarantined, run.input, max_quarantined_share, left_out=left_out)
    except InputError as error:
        storage.delete(unfinished_uri)
        kept = f"; all: {run_uri}/{QUARANTINE_FOLDER}/" if n_unusable else ""
        raise InputError(f"{error}{kept}") from None
    return IngestedEvents(
        events=usable_events(checked),
        n_usable=n_usable,
        quarantined=quarantined,
        left_out=left_out,
        sources=tuple(each.uri for each in files),
        layouts=found.layouts,
        n_future=0 if read.no_time else totals["n_future"],
    )


def count_by_reason(validated: DataFrame) -> dict[str, int]:
    """The number of events that are not used, by reason."""
    unusable = validated.where(F.col("reason").isNotNull())
    by_reason = {row["reason"]: row["count"] for row in unusable.groupBy("reason").count().collect()}
    return dict(sorted(by_reason.items()))


def require_usable(
    validated: DataFrame,
    n_usable: int,
    quarantined: Mapping[str, int],
    source: str,
    max_share: float,
    *,
    left_out: Mapping[str, int] | None = None,
) -> None:
    """Log the counts and check the share of unusable rows.

    Raises:
        InputError: there are no rows, or too many unusable ones; the message shows the first of them.
    """
    n_unusable = sum(quarantined.values())
    left_out = left_out or {}
    n_left_out = sum(left_out.values())
    n_read = n_usable + n_unusable + n_left_out
    listed = ", ".join(f"{reason} {n}" for reason, n in quarantined.items()) or "none"
    others = ", ".join(f"{reason} {n}" for reason, n in left_out.items()) or "none"
    _log.info(
        "read: %d events, %d quarantined (%s), %d left out (%s)",
        *(n_read, n_unusable, listed, n_left_out, others),
    )
    if n_read == 0:
        raise InputError(f"{source}: no events in it, only a header")
    if n_unusable > max_share * n_read:
        unusable = unusable_events(validated).select("reason", "raw")
        examples = "; ".join(f"{row['reason']}: {row['raw']!r}" for row in unusable.take(_MAX_EXAMPLES))
        raise InputError(
            f"{source}: {n_unusable} of {n_read} rows cannot be used ({listed}), more than "
            f"--max-quarantined-share {max_share:g}; first: {examples}{_advice(quarantined)}"
        )
    if not n_usable:
        raise InputError(f"{source}: all {n_read} events are left out ({others})")


def _advice(quarantined: Mapping[str, int]) -> str:
    """The option to give for the reason of most rows."""
    option = _OPTIONS.get(max(quarantined, key=lambda reason: quarantined[reason]))
    return f"; {option}" if option else ""


def _checkpoint(
    spark: SparkSession,
    storage: Storage,
    validated: DataFrame,
    files: list[StoredFile],
    unfinished_uri: str,
    *,
    run_s: int,
) -> tuple[DataFrame, Totals]:
    """Write the events to the temporary folder and read them back.

    Returns:
        The events; the numbers of usable ones, of all, and of usable ones later than the run.

    Raises:
        InputError: a file is damaged; the message names it.
    """
    folder = f"{unfinished_uri}/checked"
    is_usable = F.col("reason").isNull()
    is_future = is_usable & (F.col("timestamp") > run_s)
    totals = (
        F.count(F.when(is_usable, True)).alias("n_usable"),
        F.count("*").alias("n_read"),
        F.count(F.when(is_future, True)).alias("n_future"),
    )
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
    return checked, found
