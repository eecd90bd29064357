"""The rows that a run could not use, for whoever is called when there are too many of them.

``quarantine/part-00000.json.gz`` and so on below the run: one JSON object a line with ``reason``, ``source``
(the file) and ``raw`` (how the row starts), to be read with ``zcat``. Not in the manifest: nothing that
trains reads them, and what people did may have to be deleted before the run itself is.
"""

from __future__ import annotations

import math

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.spark.storage import Storage

QUARANTINE_FOLDER = "quarantine"
ROWS_PER_FILE = 500_000  # at most 200 characters and a path each: some 100 MB before compression

_COLUMNS = ("source", "raw", "reason")
_WRITE_OPTIONS = {
    "compression": "gzip",
    # Spark's own _SUCCESS would be taken for a run's.
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}


def write_quarantine(storage: Storage, checked: DataFrame, n_rows: int, unfinished: str, run: str) -> None:
    """Write the unusable events; which row goes to which file depends on the rows alone.

    Args:
        storage: where the run lies.
        checked: see :func:`ml.preparation.clean.validation.checked_events`.
        n_rows: how many of them are unusable; with none, nothing is written.
        unfinished: a folder to write in first.
        run: the run's folder.
    """
    if n_rows == 0:
        return
    unusable = checked.where(F.col("reason").isNotNull()).select("reason", "source", "raw")
    placed = unusable.repartition(math.ceil(n_rows / ROWS_PER_FILE), *_COLUMNS)
    in_order = placed.sortWithinPartitions(*_COLUMNS)
    # The rows of a file may be all alike, and then lie in one partition.
    writer = in_order.write.options(**_WRITE_OPTIONS).option("maxRecordsPerFile", ROWS_PER_FILE)
    writer.json(unfinished)
    for number, written in enumerate(storage.list_files(unfinished)):
        storage.move(written.uri, f"{run}/{QUARANTINE_FOLDER}/part-{number:05d}.json.gz")
