"""Preparation job: session, steps in order, exit status.

``python -m ml.preparation --input FILE_OR_FOLDER --output PREPARED_ROOT --run-id 20261123T020000Z``, or the
same arguments through ``spark-submit``. Exit status: 0 prepared, 2 unusable input or argument, 1 any other
failure. Each failure is one line on stderr.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import QUALITY_FILE, SPLITS, run_seconds
from ml.manifest import Counts, Manifest
from ml.preparation.arguments import parse_arguments
from ml.preparation.clean.ingestion import IngestedEvents, ingest_events
from ml.preparation.errors import InputError, StepError, step
from ml.preparation.features.feature_files import date_pairs, write_features
from ml.preparation.read.previous_run import PreviousRun, find_previous_run
from ml.preparation.spark.concurrency import run_concurrently
from ml.preparation.spark.session import build_session, is_small_input
from ml.preparation.spark.storage import Storage
from ml.preparation.split.splitting import SplitPairs, split_events
from ml.preparation.write.file_layout import ROWS_PER_FILE
from ml.preparation.write.quality import (
    Expectation,
    evaluate,
    load_expectations,
    max_quarantined_share,
    quality_json,
    require_passed,
)
from ml.preparation.write.quality_metrics import RunStatistics, popularity_shift
from ml.preparation.write.run_writer import RunWriter
from ml.preparation.write.tables import write_popularity, write_tables
from ml.settings.preparation import PreparationSettings

_log = logging.getLogger("ml.preparation")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns the exit status."""
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(asctime)s %(message)s")
    _log.setLevel(logging.INFO)
    try:
        settings = parse_arguments(argv)
        spark = build_session(is_small=is_small_input(settings.run.input))
        try:
            prepare(spark, settings)
        finally:
            spark.stop()
    except InputError as error:
        return _fail(error, 2)
    except (StepError, PySparkException, OSError, ValueError) as error:
        return _fail(error, 1)
    return 0


def prepare(
    spark: SparkSession, settings: PreparationSettings, *, rows_per_file: int = ROWS_PER_FILE
) -> Manifest:
    """Prepare one run and return its manifest.

    Args:
        spark: the session.
        settings: of the run.
        rows_per_file: approximate number of rows of each file of a split.

    Raises:
        InputError: the input cannot be used, or the run is already complete.
        QualityError: a quality metric is outside its limits; the files of the run are kept, without
            ``_SUCCESS``.
        StepError: Spark failed; the message names the step.
    """
    storage = Storage(spark)
    writer = RunWriter(spark, storage, settings.run)
    with step("begin"):
        expectations = load_expectations(storage, settings.quality)
        previous = find_previous_run(spark, storage, settings.run)
        writer.begin(overwrite=settings.run.overwrite)
    try:
        with step("read"):
            ingested = ingest_events(
                spark,
                storage,
                settings.run,
                settings.read,
                settings.weights,
                clean=settings.clean,
                previous=previous.layouts_of(settings.run, settings.read) if previous else None,
                max_quarantined_share=max_quarantined_share(expectations),
                run_uri=writer.uri,
                unfinished_uri=writer.unfinished,
            )
        with step("split"):
            split = split_events(
                ingested.events,
                settings.split,
                previous,
                writer.checkpoint,
                source=settings.run.input,
                has_time=not settings.read.no_time,
            )
        with step("write"):
            maps = write_tables(writer, split, previous, rows_per_file=rows_per_file)
            # Both read the splits: the last rows are the first query of the features.
            popularity, dated = run_concurrently(
                lambda: write_popularity(writer, maps.items), lambda: date_pairs(writer)
            )
        with step("check"):
            counts = _counts(split, ingested)
            shift = popularity_shift(popularity, previous.popularity) if previous else None
            before = previous.manifest.counts if previous else None
            statistics = RunStatistics(counts, split.assignment.unseen, before, shift)
            _check_quality(writer, expectations, statistics)
            if ingested.n_future:
                _warn_of_future(writer, counts.validation + counts.test)
        with step("features"):
            write_features(writer, dated, maps, settings.feature_store)
        with step("finish"):
            manifest = writer.finish(counts, ingested.sources, _details(settings, ingested, split, previous))
    except Exception:
        writer.discard_unfinished()
        raise
    _log.info("done: %s", writer.uri)
    return manifest


def _check_quality(writer: RunWriter, expectations: Sequence[Expectation], statistics: RunStatistics) -> None:
    """Write the quality report, then raise QualityError if an expectation failed."""
    if statistics.unseen.warning is not None:
        _log.warning("check: %s", statistics.unseen.warning)
    report = evaluate(expectations, statistics)
    writer.write_text(QUALITY_FILE, quality_json(writer.run_id, report, statistics))
    require_passed(report, writer.uri)


def _warn_of_future(writer: RunWriter, n_held_out: int) -> None:
    """Warn of held-out events that are later than the run, which a wrong clock causes."""
    is_future = F.col("timestamp") > run_seconds(writer.run_id)
    n_future = sum(writer.read_split(split).where(is_future).count() for split in SPLITS[1:])
    if n_future:
        _log.warning(
            "check: %d of %d held-out events are later than the run %s: a clock or --time-zone is wrong",
            *(n_future, n_held_out, writer.run_id),
        )


def _counts(split: SplitPairs, ingested: IngestedEvents) -> Counts:
    n_kept = sum(split.rows.values())
    return Counts(
        events_read=ingested.n_usable + sum(ingested.quarantined.values()) + sum(ingested.left_out.values()),
        kept=n_kept,
        quarantined=ingested.quarantined,
        left_out=ingested.left_out,
        duplicates=ingested.n_usable - split.n_pairs,
        filtered=split.n_pairs - n_kept,
        users=split.assignment.n_users,
        items=split.assignment.n_items,
        users_read=split.n_user_ids,
        items_read=split.n_item_ids,
        **split.rows,
    )


def _details(
    settings: PreparationSettings, ingested: IngestedEvents, split: SplitPairs, previous: PreviousRun | None
) -> dict[str, Any]:
    """The fields of the manifest that describe how the run was prepared."""
    return {
        "input": settings.run.input.rstrip("/"),
        "layouts": ingested.layouts,
        "split": split.assignment.rule,
        "min_interactions": settings.split.min_interactions,
        "min_item_interactions": settings.split.min_item_interactions,
        "min_weight": settings.split.min_weight,
        "previous_run": previous.uri if previous else None,
    }


def _fail(error: Exception, status: int) -> int:
    line = " ".join(str(error).split())
    sys.stderr.write(f"ml.preparation: {line}\n")
    return status
