"""The job's Spark session: sensible on a laptop, and out of the way of ``spark-submit``."""

from __future__ import annotations

import os
from pathlib import Path

from pyspark.sql import SparkSession

_LOGGING = Path(__file__).with_name("log4j2.properties").as_uri()
# Only what a session that is built here needs: on a cluster, spark-submit has decided already.
_LAPTOP = {
    "spark.master": "local[*]",
    "spark.driver.memory": "2g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "8",  # AQE merges small ones; each of the default 200 costs a file
    "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={_LOGGING}",
}
# Part of what the job means, wherever it runs.
_SEMANTICS = {"spark.sql.session.timeZone": "UTC"}


def build_session() -> SparkSession:
    """The session of this process; settings given to ``spark-submit`` win over those of a laptop."""
    builder = SparkSession.builder.appName("ml.preparation")
    is_submitted = "PYSPARK_GATEWAY_PORT" in os.environ  # set by spark-submit, which started the JVM
    for key, value in {**({} if is_submitted else _LAPTOP), **_SEMANTICS}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
