"""Java classes as attributes of PySpark's gateway."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from py4j.java_gateway import JavaClass
from pyspark.sql import SparkSession


def import_classes(spark: SparkSession, names: Iterable[str]) -> Any:
    """Bind Java classes to their simple names in the gateway's view of the JVM, which is returned.

    py4j looks for an unbound name such as ``Path``, or ``org`` in a full name, as a class in each package
    that PySpark imports, every time that it is used, and each time in all of Spark's 250 jars.

    Args:
        spark: the session.
        names: full names of the classes.
    """
    jvm: Any = spark.sparkContext._jvm  # PySpark has no public API for its gateway
    for name in names:
        setattr(jvm, name.rpartition(".")[2], JavaClass(name, jvm._gateway_client))
    return jvm
