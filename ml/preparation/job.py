"""The preparation job: session, steps in order, exit status.

``python -m ml.preparation --input FILE_OR_FOLDER --output PREPARED_ROOT --run-id 20261123T020000Z``,
or the same arguments through ``spark-submit``. Exit status: 0 prepared, 2 the input or an argument
cannot be used, 1 anything else; each failure is one line on stderr.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ml.contract import QUALITY_FILE
from ml.manifest import Counts, Manifest
from ml.preparation.arguments import Settings, parse_arguments
from ml.preparation.clean.ingestion import Intake, take_in
from ml.preparation.errors import InputError, StepError, step
from ml.preparation.features.feature_files import write_features
from ml.preparation.read.previous_run import previous_run
from ml.preparation.spark.session import build_session, is_small_input
from ml.preparation.spark.storage import Storage
from ml.preparation.split.core import SplitEvents, split_events, write_data
from ml.preparation.write.quality import (
    Expectation,
    Observed,
    packaged_expectations,
    parse_expectations,
    popularity_shift,
    quality_json,
    quarantined_limit,
    report_on,
    require,
    with_quarantined_share,
)
from ml.preparation.write.run_writer import RunWriter

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
        QualityError: the run is not what is expected of it; its files stay, without ``_SUCCESS``.
        StepError: Spark failed; the message names the step.
    """
    storage = Storage(spark)
    writer = RunWriter(spark, storage, settings.output, settings.run_id)
    with step("begin"):
        expectations = _expectations(storage, settings)
        previous = previous_run(spark, storage, settings.output, settings.run_id, settings.previous_run)
        writer.begin(overwrite=settings.overwrite)
    try:
        with step("read"):
            limit = quarantined_limit(expectations)
            intake = take_in(
                spark, storage, settings, max_share=limit, run=writer.uri, unfinished=writer.unfinished
            )
        with step("split"):
            split = split_events(intake.events, settings, previous, writer.stage)
        with step("write"):
            written = write_data(writer, split, previous)
        with step("check"):
            counts = _counts(split, intake)
            shift = popularity_shift(written.popularity, previous.popularity) if previous else None
            observed = Observed(counts, previous.manifest.counts if previous else None, shift)
            report = report_on(expectations, observed)
            writer.write_text(QUALITY_FILE, quality_json(settings.run_id, report, observed))
            require(report, writer.uri)
        with step("features"):
            write_features(writer, written, settings)
        with step("finish"):
            details = {
                "split": split.assigned.rule,
                "min_interactions": settings.min_interactions,
                "min_item_interactions": settings.min_item_interactions,
                "min_weight": settings.min_weight,
                "previous_run": previous.uri if previous else None,
            }
            manifest = writer.finish(counts, intake.sources, details)
    except Exception:
        writer.abandon()
        raise
    _log.info("done: %s", writer.uri)
    return manifest


def _expectations(storage: Storage, settings: Settings) -> list[Expectation]:
    """What the quality gate expects.

    Raises:
        InputError: the given file is not there, or is not a list of expectations.
    """
    uri = settings.expectations
    if uri is not None and not storage.exists(uri):
        raise InputError(f"{uri}: no such file; give --expectations an existing one")
    text = packaged_expectations() if uri is None else storage.read_text(uri)
    expectations = parse_expectations(text, uri or "expectations")
    return with_quarantined_share(expectations, settings.max_quarantined_share)


def _counts(split: SplitEvents, intake: Intake) -> Counts:
    kept = sum(split.rows.values())
    return Counts(
        events_read=intake.n_usable + sum(intake.quarantined.values()),
        kept=kept,
        quarantined=intake.quarantined,
        duplicates=intake.n_usable - split.n_pairs,
        filtered=split.n_pairs - kept,
        users=split.assigned.users.count(),
        items=split.assigned.items.count(),
        users_read=split.user_ids.count(),
        items_read=split.item_ids.count(),
        **split.rows,
    )


def _failed(error: Exception, status: int) -> int:
    line = " ".join(str(error).split())
    sys.stderr.write(f"ml.preparation: {line}\n")
    return status
