"""The preparation job: session, steps in order, exit status.

``python -m ml.preparation --input FILE_OR_FOLDER --output PREPARED_ROOT --run-id 20261123T020000Z``,
or the same arguments through ``spark-submit``. Exit status: 0 prepared, 2 the input or an argument
cannot be used, 1 anything else; each failure is one line on stderr.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import ITEMS_FILE, POPULARITY_FILE, SPLITS, USERS_FILE
from ml.manifest import Manifest
from ml.preparation.arguments import Settings, parse_arguments
from ml.preparation.errors import InputError, StepError, step
from ml.preparation.intake import take_in
from ml.preparation.session import build_session, is_small_input
from ml.preparation.storage import Storage
from ml.preparation.transforms import (
    FILTERED,
    SPLIT_RULE,
    assigned_splits,
    encoded_events,
    id_index,
    item_popularity,
    newest_events,
)
from ml.preparation.writing import RunWriter

_log = logging.getLogger("ml.preparation")


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
        return _failed(error, 2)
    except (StepError, PySparkException, OSError, ValueError) as error:
        return _failed(error, 1)
    return 0


def prepare(spark: SparkSession, settings: Settings) -> Manifest:
    """Prepare one run and return its manifest.

    Raises:
        InputError: the input cannot be used, or the run is already prepared.
        StepError: Spark failed; the message names the step.
    """
    storage = Storage(spark)
    writer = RunWriter(spark, storage, settings.output, settings.run_id)
    with step("begin"):
        writer.begin()
    with step("read"):
        intake = take_in(spark, storage, settings, writer.uri, writer.unfinished)
    with step("split"):
        newest = newest_events(intake.events)
        assigned = assigned_splits(newest, settings.min_interactions).persist()
        rows = counted_by_split(assigned, settings)
    with step("write"):
        n_users, n_items = _write_data(writer, assigned, rows)
        n_events = sum(rows.values())
        counts = {
            "events_read": intake.n_usable + sum(intake.quarantined.values()),
            "kept": n_events - rows[FILTERED],
            "quarantined": intake.quarantined,
            "duplicates": intake.n_usable - n_events,
            "users": n_users,
            "items": n_items,
            **rows,
        }
        details = {"split": SPLIT_RULE, "min_interactions": settings.min_interactions}
        manifest = writer.finish(counts, intake.sources, details)
        assigned.unpersist()
    _log.info("done: %s", writer.uri)
    return manifest


def counted_by_split(assigned: DataFrame, settings: Settings) -> dict[str, int]:
    """Count the rows of each split, and those filtered out.

    Raises:
        InputError: no user is left.
    """
    by_split = {row["split"]: row["count"] for row in assigned.groupBy("split").count().collect()}
    rows = {split: by_split.get(split, 0) for split in (*SPLITS, FILTERED)}
    _log.info("split: %s", ", ".join(f"{n} {split}" for split, n in rows.items()))
    if rows["test"] == 0:
        raise InputError(
            f"{settings.input}: every user has fewer than {settings.min_interactions} interactions, so that "
            "nothing is left to learn from; give more events or a lower --min-interactions"
        )
    return rows


def _write_data(writer: RunWriter, assigned: DataFrame, rows: Mapping[str, int]) -> tuple[int, int]:
    """Write the run's data files; returns the number of users and of items."""
    kept = assigned.where(F.col("split") != FILTERED)
    users = writer.write_table(id_index(kept, "user_id", "user_index"), USERS_FILE, "user_index")
    items = writer.write_table(id_index(kept, "item_id", "item_index"), ITEMS_FILE, "item_index")
    n_users, n_items = writer.rows_of(USERS_FILE), writer.rows_of(ITEMS_FILE)
    _log.info("index: %d users, %d items", n_users, n_items)
    writer.write_table(item_popularity(kept, items), POPULARITY_FILE, "item_index")
    writer.write_splits(encoded_events(kept, users, items), rows, n_users)
    _log.info("write: %s", ", ".join(f"{rows[split]} rows {split}" for split in SPLITS))
    return n_users, n_items


def _failed(error: Exception, status: int) -> int:
    line = " ".join(str(error).split())
    sys.stderr.write(f"ml.preparation: {line}\n")
    return status
