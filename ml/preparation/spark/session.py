"""The job's Spark session: sensible on a laptop, and out of the way of ``spark-submit``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

SMALL_INPUT_BYTES = 64 * 1024 * 1024

_LOGGING = Path(__file__).resolve().with_name("log4j2.properties").as_uri()
_JAVA_OPTIONS = f"-Dlog4j2.configurationFile={_LOGGING}"
# A run of seconds spends half of its time in the optimising compiler, and ends before that pays.
_SMALL_JAVA_OPTIONS = f"{_JAVA_OPTIONS} -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
_LAPTOP = {
    "spark.master": "local[*]",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
_SMALL = {
    "spark.driver.memory": "2g",
    "spark.driver.extraJavaOptions": _SMALL_JAVA_OPTIONS,
    "spark.sql.shuffle.partitions": "8",  # of the default 200, most would be empty
}
# Nobody waits for an answer, so that the collector is the one that costs the tasks least. Hash tables of a
# hundred megabytes are read at random: with small pages the processor looks for addresses; only Linux's JVM
# knows that option.
_LARGE_JAVA_OPTIONS = (
    f"{_JAVA_OPTIONS} -XX:+UseParallelGC -XX:+IgnoreUnrecognizedVMOptions -XX:+UseTransparentHugePages"
)
# Partitions that a core sorts in memory, not the few that would be the quickest with memory to spare, and
# tasks small enough that all cores end at about the same time.
_LARGE = {
    "spark.driver.memory": "2048m",
    "spark.driver.extraJavaOptions": _LARGE_JAVA_OPTIONS,
    "spark.sql.shuffle.partitions": "64",
    "spark.sql.files.maxPartitionBytes": "32m",
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "16m",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    "spark.sql.autoBroadcastJoinThreshold": "64m",  # a million users: cheaper than to shuffle the pairs
}
# Part of what the job means, or of how it counts, wherever it runs.
_ALWAYS = {
    # Lists are collected for many users at once: with the default of 128 they would be sorted first.
    "spark.sql.objectHashAggregate.sortBased.fallbackThreshold": "1000000",
    "spark.sql.session.timeZone": "UTC",
    # Parquet's nanosecond timestamps, which are pandas' default, are otherwise refused.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    # Times before 1582 in Parquet are read, to be quarantined, instead of failing the run.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.caseSensitive": "true",  # "User" and "user" are two columns
}


def build_session(*, is_small: bool) -> SparkSession:
    """The session of this process.

    Under ``spark-submit`` the settings given there stand. Without it, those of a laptop do;
    ``PYSPARK_SUBMIT_ARGS`` can add others.

    Args:
        is_small: the input is small, so that starting quickly matters more than running quickly.
    """
    laptop = {**_LAPTOP, **(_SMALL if is_small else _LARGE)}
    is_submitted = "PYSPARK_GATEWAY_PORT" in os.environ  # spark-submit has started the JVM
    if not is_submitted:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers have the packages that this one has
    builder = SparkSession.builder.appName("ml.preparation")
    for key, value in {**({} if is_submitted else laptop), **_ALWAYS}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def is_small_input(uri: str) -> bool:
    """Whether an input is on this machine and small; before there is a JVM to ask about other places."""
    path = Path(uri[len("file:") :] if uri.startswith("file:") else uri)
    if path.is_file():
        return path.stat().st_size < SMALL_INPUT_BYTES
    return path.is_dir() and sum(each.stat().st_size for each in path.rglob("*")) < SMALL_INPUT_BYTES
