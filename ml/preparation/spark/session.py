"""Spark session of the job: tuned for one machine, and left to ``spark-submit`` on a cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

from ml.preparation.spark.java_classes import import_classes, keep_packages

SMALL_INPUT_BYTES = 64 * 1024 * 1024

# Spark's classes, archived by local.spark_classes for the environment of this Python; absent elsewhere. A JVM
# ignores the archive of another JVM or of other jars.
CLASS_ARCHIVE = Path(sys.prefix, "spark-classes.jsa")
QUIET_ARCHIVE = "-Xlog:cds=off -Xlog:cds+dynamic=off"  # no warning about an archive that is ignored

_LOGGING = Path(__file__).resolve().with_name("log4j2.properties").as_uri()
_JAVA_OPTIONS = f"-Dlog4j2.configurationFile={_LOGGING}"
# A run of a few seconds ends before the optimising compiler's work pays off, and starts a hundred programs:
# Hadoop sets permissions with chmod, which starts in 3.5 ms by vfork, and in 5 ms by the default.
SMALL_JAVA_OPTIONS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xmn512m",  # few collections
    "-Djdk.lang.Process.launchMechanism=VFORK",
)
# Of the JVM that only prints the command of Spark's JVM.
LAUNCHER_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
_LOCAL = {
    # The default looks for checksum files, and fails on a name with a colon.
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "spark.master": "local[*]",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.ui.explainMode": "simple",  # the plan's text that the web interface would show
}
_SMALL = {
    "spark.driver.memory": "2g",
    "spark.driver.extraJavaOptions": " ".join((_JAVA_OPTIONS, *SMALL_JAVA_OPTIONS)),
    "spark.sql.shuffle.partitions": "8",  # of the default 200, most would be empty
}
# A batch job needs throughput, not short pauses: the parallel collector. Huge pages save TLB misses when hash
# tables of 100 MB are read at random; the option exists on Linux only, so unrecognised options are ignored.
_LARGE_JAVA_OPTIONS = (
    f"{_JAVA_OPTIONS} -XX:+UseParallelGC -XX:+IgnoreUnrecognizedVMOptions -XX:+UseTransparentHugePages"
)
# Partitions small enough to be sorted in memory, and tasks short enough for all cores to finish together.
_LARGE = {
    "spark.driver.memory": "2048m",
    "spark.driver.extraJavaOptions": _LARGE_JAVA_OPTIONS,
    "spark.sql.shuffle.partitions": "64",
    "spark.sql.files.maxPartitionBytes": "32m",
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "16m",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    "spark.sql.autoBroadcastJoinThreshold": "64m",  # a million users: cheaper than to shuffle the pairs
}
# Required for correct results or acceptable run times, on a cluster too.
_ALWAYS = {
    # Lists are collected for many users: beyond the default of 128 groups Spark would sort the rows first.
    "spark.sql.objectHashAggregate.sortBased.fallbackThreshold": "1000000",
    "spark.sql.session.timeZone": "UTC",
    # Spark refuses Parquet's nanosecond timestamps, the default of pandas, unless it reads them as integers.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    # Parquet timestamps before 1582 are read, and then quarantined, instead of failing the run.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.caseSensitive": "true",  # "User" and "user" are two columns
    # Each write of a table would end with a _SUCCESS object below the run's prefix: the event rule for
    # complete runs matches them, too.
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}
# Classes that PySpark looks up for each expression and data frame.
_USED_OFTEN = (
    "org.apache.spark.api.python.PythonUtils",
    "org.apache.spark.sql.SparkSession",
    "org.apache.spark.sql.SparkSession$",
    "org.apache.spark.sql.functions",
)


def build_session(*, is_small: bool, overrides: Mapping[str, str] | None = None) -> SparkSession:
    """The Spark session of this process.

    Under ``spark-submit`` the configuration given there applies. Without it, that of a single machine does;
    ``PYSPARK_SUBMIT_ARGS`` can extend it.

    Args:
        is_small: the input is small, so that a short start-up matters more than throughput.
        overrides: Spark configuration that takes precedence.
    """
    local = {**_LOCAL, **(_SMALL if is_small else _LARGE)}
    if CLASS_ARCHIVE.is_file():
        local["spark.driver.extraJavaOptions"] += f" -XX:SharedArchiveFile={CLASS_ARCHIVE} {QUIET_ARCHIVE}"
    is_submitted = "PYSPARK_GATEWAY_PORT" in os.environ  # spark-submit has started the JVM
    if not is_submitted:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers import this environment's packages
        # One class path, whatever links lead to the environment: the archive is of that one.
        os.environ.setdefault("SPARK_LAUNCHER_OPTS", LAUNCHER_OPTIONS)
        os.environ.setdefault("SPARK_HOME", str(Path(pyspark.__file__).resolve().parent))
    builder = SparkSession.builder.appName("ml.preparation")
    for key, value in {**({} if is_submitted else local), **_ALWAYS, **(overrides or {})}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    import_classes(session, _USED_OFTEN)
    keep_packages(session)
    return session


def is_small_input(uri: str) -> bool:
    """Whether an input is on this machine and small.

    Called before there is a JVM, so that inputs elsewhere cannot be measured and count as large.
    """
    path = Path(uri[len("file:") :] if uri.startswith("file:") else uri)
    if path.is_file():
        return path.stat().st_size < SMALL_INPUT_BYTES
    return path.is_dir() and sum(each.stat().st_size for each in path.rglob("*")) < SMALL_INPUT_BYTES
