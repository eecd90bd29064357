"""Names of Java classes in PySpark's gateway."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from py4j.clientserver import JavaClient
from py4j.protocol import Py4JError
from pyspark.errors import IllegalArgumentException
from pyspark.sql import Observation, SparkSession
from pyspark.sql.functions import count, lit

pytestmark = pytest.mark.spark


def use_names(spark: SparkSession) -> None:
    """What PySpark names in full or by a short name: an observation, an expression, an exception."""
    counts = Observation("counts")
    spark.range(3).observe(counts, count(lit(1)).alias("n")).collect()
    assert counts.get["n"] == 3
    with pytest.raises(IllegalArgumentException):
        spark.range(3).sample(fraction=-1.0).collect()


def test_each_name_is_looked_up_once(spark: SparkSession) -> None:
    use_names(spark)
    with patch.object(JavaClient, "send_command", autospec=True, side_effect=JavaClient.send_command) as send:
        use_names(spark)
    commands = [call.args[1].split("\n") for call in send.call_args_list]
    names = {name for kind, _, name, *_ in commands if kind == "r"}  # reflection
    # The value of a field, which can change: SparkSession$.MODULE$.
    assert names <= {"org.apache.spark.sql.SparkSession$"}


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
