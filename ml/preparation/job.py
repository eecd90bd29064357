"""The preparation job: arguments, session, and the steps in order.

``python -m ml.preparation --input FILE_OR_FOLDER --output PREPARED_ROOT --run-id 20261123T020000Z``,
or the same arguments through ``spark-submit``. Exit status: 0 prepared, 2 the input or an argument
cannot be used, 1 anything else; each with one line on stderr.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import ITEMS_FILE, POPULARITY_FILE, SPLITS, USERS_FILE, parse_run_id
from ml.manifest import Manifest
from ml.preparation.errors import InputError
from ml.preparation.layout import ColumnNames
from ml.preparation.reading import FORMATS, input_files, read_events
from ml.preparation.session import build_session, is_small_input
from ml.preparation.storage import Storage
from ml.preparation.transforms import (
    FILTERED,
    N_HELD_OUT,
    SPLIT_RULE,
    assigned_splits,
    encoded_events,
    id_index,
    item_popularity,
    newest_events,
)
from ml.preparation.validation import checked_events, usable_events
from ml.preparation.writing import RunWriter

_log = logging.getLogger("ml.preparation")
_N_EXAMPLES = 3


@dataclass(frozen=True)
class Settings:
    """What one run is asked to do."""

    input: str
    output: str  # the prepared root; the run lies below it
    run_id: str
    format: str = "auto"
    columns: ColumnNames = field(default_factory=ColumnNames)
    min_interactions: int = 5
    max_quarantined_share: float = 0.05


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns the exit status."""
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(asctime)s %(message)s")
    _log.setLevel(logging.INFO)
    try:
        settings = parse_arguments(argv)
        spark = build_session(is_small=is_small_input(settings.input))
        try:
            prepare(spark, settings)
        finally:
            spark.stop()
    except InputError as error:
        return _fail(error, 2)
    except (Py4JError, PySparkException, OSError, ValueError) as error:
        _log.debug("failed", exc_info=True)
        return _fail(error, 1)
    return 0


def prepare(spark: SparkSession, settings: Settings) -> Manifest:
    """Prepare one run and return its manifest.

    Raises:
        InputError: the input cannot be used, or the run is already prepared.
    """
    storage = Storage(spark)
    writer = RunWriter(spark, storage, settings.output, settings.run_id)
    writer.begin()
    sources = input_files(storage, settings.input)
    events = read_events(spark, storage, sources, settings.format, settings.columns)
    checked = checked_events(events).persist()
    quarantined, n_read = _check_share(checked, settings)
    assigned = assigned_splits(newest_events(usable_events(checked)), settings.min_interactions).persist()
    rows = _check_kept(assigned, settings)
    checked.unpersist()
    n_usable = n_read - sum(quarantined.values())
    n_kept = sum(rows[split] for split in SPLITS)

    kept = assigned.where(F.col("split") != FILTERED)
    users = writer.write_table(id_index(kept, "user_id", "user_index"), USERS_FILE)
    items = writer.write_table(id_index(kept, "item_id", "item_index"), ITEMS_FILE)
    n_users, n_items = writer.rows_of(USERS_FILE), writer.rows_of(ITEMS_FILE)
    _log.info("index: %d users, %d items", n_users, n_items)
    writer.write_table(item_popularity(kept, items), POPULARITY_FILE)
    writer.write_splits(encoded_events(kept, users, items), rows, n_users)
    _log.info("write: %s", ", ".join(f"{rows[split]} rows {split}" for split in SPLITS))

    counts = {
        "events_read": n_read,
        "kept": n_kept,
        "quarantined": quarantined,
        "duplicates": n_usable - n_kept - rows[FILTERED],
        "filtered": rows[FILTERED],
        "users": n_users,
        "items": n_items,
        **{split: rows[split] for split in SPLITS},
    }
    details = {"split": SPLIT_RULE, "min_interactions": settings.min_interactions}
    manifest = writer.finish(counts, [each.uri for each in sources], details)
    _log.info("done: %s", writer.uri)
    return manifest


def parse_arguments(argv: Sequence[str] | None) -> Settings:
    """The settings of a command line; raises InputError for a wrong one."""
    parser = _Parser(prog="ml.preparation", description="Prepare a shop's interactions for training.")
    parser.add_argument("--input", required=True, help="file or folder to read (local, s3://, hdfs://)")
    parser.add_argument("--output", required=True, help="the prepared root; the run is written below it")
    parser.add_argument("--run-id", required=True, help="UTC time, as 20261123T020000Z")
    parser.add_argument("--format", choices=FORMATS, default="auto")
    parser.add_argument("--user-column", help="default: common spellings, such as user_id")
    parser.add_argument("--item-column", help="default: common spellings, such as item_id")
    parser.add_argument("--time-column", help="default: common spellings, such as timestamp")
    parser.add_argument("--min-interactions", type=int, default=5, help="drop users with fewer")
    parser.add_argument("--max-quarantined-share", type=float, default=0.05, help="fail the run above it")
    given = parser.parse_args(argv)
    try:
        run_id = parse_run_id(given.run_id)
    except ValueError as error:
        raise InputError(f"--run-id: {error}") from error
    if given.min_interactions <= N_HELD_OUT:
        raise InputError(
            f"--min-interactions {given.min_interactions}: give at least {N_HELD_OUT + 1}, "
            f"since each user's last {N_HELD_OUT} are held out"
        )
    if not 0 <= given.max_quarantined_share <= 1:
        raise InputError(f"--max-quarantined-share {given.max_quarantined_share}: give a share from 0 to 1")
    columns = ColumnNames(given.user_column, given.item_column, given.time_column)
    return Settings(
        given.input,
        given.output,
        run_id,
        given.format,
        columns,
        given.min_interactions,
        given.max_quarantined_share,
    )


def _check_share(checked: DataFrame, settings: Settings) -> tuple[dict[str, int], int]:
    """Count the events by reason and refuse an input with too many unusable ones."""
    by_reason = {row["reason"]: row["count"] for row in checked.groupBy("reason").count().collect()}
    n_read = sum(by_reason.values())
    quarantined = {reason: by_reason[reason] for reason in sorted(filter(None, by_reason))}
    n_quarantined = sum(quarantined.values())
    listed = ", ".join(f"{reason} {n}" for reason, n in quarantined.items()) or "none"
    _log.info("read: %d events, %d quarantined (%s)", n_read, n_quarantined, listed)
    if n_read == 0:
        raise InputError(f"{settings.input}: a header but no events")
    if n_quarantined > settings.max_quarantined_share * n_read:
        bad = checked.where(F.col("reason").isNotNull()).select("reason", "raw")
        examples = "; ".join(f"{row['reason']}: {row['raw']!r}" for row in bad.take(_N_EXAMPLES))
        raise InputError(
            f"{settings.input}: {n_quarantined} of {n_read} rows cannot be used ({listed}), more than "
            f"--max-quarantined-share {settings.max_quarantined_share:g}; first: {examples}"
        )
    return quarantined, n_read


def _check_kept(assigned: DataFrame, settings: Settings) -> dict[str, int]:
    """Count the rows of each split and of ``filtered``, and refuse an input that leaves none."""
    by_split = {row["split"]: row["count"] for row in assigned.groupBy("split").count().collect()}
    rows = {split: by_split.get(split, 0) for split in (*SPLITS, FILTERED)}
    _log.info("split: %s", ", ".join(f"{n} {split}" for split, n in rows.items()))
    if rows["test"] == 0:
        raise InputError(
            f"{settings.input}: every user has fewer than {settings.min_interactions} interactions, "
            "so that nothing is left to learn from; give more events or a lower --min-interactions"
        )
    return rows


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line like any other."""

    def error(self, message: str) -> None:  # type: ignore[override]  # argparse: "should not return"
        raise InputError(message)


def _fail(error: Exception, status: int) -> int:
    line = " ".join(str(error).split()) if isinstance(error, InputError) else _first_line(error)
    sys.stderr.write(f"ml.preparation: {line}\n")
    return status


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0]
