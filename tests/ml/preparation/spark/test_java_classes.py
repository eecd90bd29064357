"""Names of Java classes in PySpark's gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from py4j.clientserver import JavaClient
from py4j.protocol import Py4JError
from pyspark.errors import IllegalArgumentException
from pyspark.sql import Observation, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

pytestmark = pytest.mark.spark


@contextmanager
def lookups(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names that the gateway asks the JVM for, within the context."""
    names: list[str] = []
    send = JavaClient.send_command

    def recorded(client: JavaClient, command: str, *args: object, **kwargs: object) -> object:
        if command.startswith("r\n"):  # reflection
            names.append(command.split("\n")[2])
        return send(client, command, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(JavaClient, "send_command", recorded)
        yield names


def use_names(spark: SparkSession) -> None:
    """What PySpark names in full or by a short name: an observation, an expression, an exception."""
    counts = Observation("counts")
    spark.range(3).observe(counts, F.count(F.lit(1)).alias("n")).collect()
    assert counts.get["n"] == 3
    with pytest.raises(IllegalArgumentException):
        spark.range(3).sample(fraction=-1.0).collect()


def test_each_name_is_looked_up_once(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    use_names(spark)
    with lookups(monkeypatch) as names:
        use_names(spark)
    # The value of a field, which can change: SparkSession$.MODULE$.
    assert set(names) <= {"org.apache.spark.sql.SparkSession$"}


def test_names_that_do_not_exist_are_refused_each_time(spark: SparkSession) -> None:
    for _ in range(2):
        with pytest.raises(Py4JError, match="nowhere does not exist in the JVM"):
            spark.sparkContext._jvm.org.apache.spark.sql.functions.nowhere()


def test_packages_and_nested_names_lead_to_the_same_classes(spark: SparkSession) -> None:
    jvm = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path("a/b")
    assert path.getName() == "b"
    assert jvm.org.apache.hadoop.fs.Path.SEPARATOR == "/"
    assert jvm.java.util.Collections.emptyList().size() == 0
