"""Quarantine: the rows of a run that could not be used, for analysis.

Files ``quarantine/part-00000.json.gz`` and so on in the run folder, one JSON object per line with ``reason``,
``source`` (the file) and ``raw`` (the first characters of the row). They are not in the manifest: training
does not read them, and as personal data they may have to be deleted earlier than the run.
"""

from __future__ import annotations

import math

from pyspark.sql import DataFrame

from ml.preparation.clean.validation import unusable_events
from ml.preparation.spark.storage import Storage

QUARANTINE_FOLDER = "quarantine"
ROWS_PER_FILE = 500_000  # of at most 200 characters and a path each: about 100 MB before compression

_COLUMNS = ("source", "raw", "reason")


def write_quarantine(
    storage: Storage,
    validated: DataFrame,
    n_rows: int,
    *,
    unfinished: str,
    run: str,
    rows_per_file: int = ROWS_PER_FILE,
) -> None:
    """Write the unusable events; the content of each file depends on the rows only, not on partitioning.

    Args:
        storage: file system of the run.
        validated: as :func:`ml.preparation.clean.validation.validate_events` returns them.
        n_rows: number of unusable events; for 0, nothing is written.
        unfinished: temporary folder for Spark's output.
        run: folder of the run.
        rows_per_file: maximum rows of a file.
    """
    if n_rows == 0:
        return
    unusable = unusable_events(validated).select("reason", "source", "raw")
    partitioned = unusable.repartition(math.ceil(n_rows / rows_per_file), *_COLUMNS)
    ordered = partitioned.sortWithinPartitions(*_COLUMNS)
    # Equal rows are all in one partition, which may therefore be larger than a file.
    writer = ordered.write.option("compression", "gzip").option("maxRecordsPerFile", rows_per_file)
    writer.json(unfinished)
    for number, written in enumerate(storage.list_files(unfinished)):
        storage.move(written.uri, f"{run}/{QUARANTINE_FOLDER}/part-{number:05d}.json.gz")
