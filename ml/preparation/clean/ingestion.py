"""From raw files to checked events: what the ``read`` step does.

The input is scanned once. Every event, usable or not, is staged in the run's own unfinished folder, as
ORC, which writes text in two thirds of Parquet's time; counts, quarantine and all later steps read that.
Compressed text, which cannot be split, is thereby split for what follows, and all counts are of the same
events even if the input changes meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.arguments import Settings
from ml.preparation.clean.quarantine import QUARANTINE_FOLDER, write_quarantine
from ml.preparation.clean.validation import checked_events, usable_events
from ml.preparation.errors import InputError
from ml.preparation.read.damaged_files import damaged_file
from ml.preparation.read.events import read_events
from ml.preparation.read.sources import input_files
from ml.preparation.spark.storage import Storage, literal_path

_log = logging.getLogger("ml.preparation")
_N_EXAMPLES = 3
_STAGE_OPTIONS = {
    "compression": "snappy",
    "orc.dictionary.key.threshold": "0",  # most ids are different
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}


@dataclass(frozen=True)
class Intake:
    """What a run starts from."""

    events: DataFrame  # user_id, item_id, timestamp, weight; staged, so that reading it again is cheap
    n_usable: int
    quarantined: Mapping[str, int]  # by reason
    sources: tuple[str, ...]  # the files that were read


def take_in(
    spark: SparkSession, storage: Storage, settings: Settings, *, max_share: float, run: str, unfinished: str
) -> Intake:
    """Read and check all events, and write those that cannot be used to the run's quarantine.

    Args:
        spark: the session.
        storage: where input and run lie.
        settings: what to read.
        max_share: of unusable rows, more than which are refused.
        run: the run's folder.
        unfinished: a folder of the run for what is not to stay; empty again if the input is refused.

    Raises:
        InputError: the input cannot be used, or too much of it; the quarantine is there in the latter case.
    """
    files = input_files(storage, settings.input, settings.run_id, settings.look_back_days)
    events = read_events(spark, storage, files, settings.format, settings.columns)
    checked = checked_events(events, settings.weighing)
    try:
        staged = _staged(spark, checked, f"{unfinished}/checked")
    except (Py4JError, PySparkException) as error:
        storage.delete(unfinished)
        damaged = damaged_file(spark, storage, files)
        if damaged is None:
            raise
        raise InputError(damaged) from error
    usable, quarantined = counted_by_reason(staged)
    n_bad = sum(quarantined.values())
    write_quarantine(storage, staged, n_bad, f"{unfinished}/{QUARANTINE_FOLDER}", run)
    try:
        require_usable(staged, usable, quarantined, settings.input, max_share)
    except InputError as error:
        storage.delete(unfinished)
        raise InputError(f"{error}; all: {run}/{QUARANTINE_FOLDER}/" if n_bad else str(error)) from None
    return Intake(usable_events(staged), usable, quarantined, tuple(each.uri for each in files))


def counted_by_reason(checked: DataFrame) -> tuple[int, dict[str, int]]:
    """Count the usable events, and the others by reason."""
    by_reason = {row["reason"]: row["count"] for row in checked.groupBy("reason").count().collect()}
    usable = by_reason.pop(None, 0)
    return usable, dict(sorted(by_reason.items()))


def require_usable(
    checked: DataFrame, usable: int, quarantined: Mapping[str, int], source: str, max_share: float
) -> None:
    """Log the counts.

    Raises:
        InputError: there are no events, or too many cannot be used; the message shows the first.
    """
    n_bad = sum(quarantined.values())
    n_read = usable + n_bad
    listed = ", ".join(f"{reason} {n}" for reason, n in quarantined.items()) or "none"
    _log.info("read: %d events, %d quarantined (%s)", n_read, n_bad, listed)
    if n_read == 0:
        raise InputError(f"{source}: no events in it, only a header")
    if n_bad > max_share * n_read:
        bad = checked.where(F.col("reason").isNotNull()).select("reason", "raw")
        examples = "; ".join(f"{row['reason']}: {row['raw']!r}" for row in bad.take(_N_EXAMPLES))
        raise InputError(
            f"{source}: {n_bad} of {n_read} rows cannot be used ({listed}), more than "
            f"--max-quarantined-share {max_share:g}; first: {examples}"
        )


def _staged(spark: SparkSession, checked: DataFrame, folder: str) -> DataFrame:
    checked.write.options(**_STAGE_OPTIONS).orc(folder)
    return spark.read.schema(checked.schema).orc(literal_path(folder))
