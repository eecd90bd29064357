"""Schemas of Parquet and ORC files, from their footers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from ml.preparation.spark.storage import Storage, literal_path

_CONVERTER = "ParquetToSparkSchemaConverter"


@dataclass(frozen=True)
class TableSchema:
    """Columns of a file as Spark reads them."""

    format: str  # parquet or orc
    schema: StructType
    unsupported: Mapping[str, str] = field(default_factory=dict)  # types that Spark cannot read
    nanosecond_columns: tuple[str, ...] = ()  # timestamps that Spark reads as integers


def read_schema(spark: SparkSession, storage: Storage, uri: str, file_format: str) -> TableSchema:
    """The schema of a Parquet or ORC file.

    Raises:
        Py4JJavaError, AnalysisException: the file cannot be read.
    """
    if file_format == "orc":
        return TableSchema("orc", spark.read.orc(literal_path(uri)).schema)
    message = storage.parquet_message(uri)
    fields = [message.getType(number) for number in range(message.getFieldCount())]
    annotated = [(each.getName(), each.getLogicalTypeAnnotation()) for each in fields]
    kinds = {name: kind.toString() for name, kind in annotated if kind is not None}
    nanoseconds = tuple(name for name, kind in kinds.items() if "TIMESTAMP(NANOS" in kind)
    with contextlib.suppress(AnalysisException, Py4JJavaError):  # raised for a type that Spark cannot read
        return TableSchema("parquet", _converted(spark, message), {}, nanoseconds)
    found, unsupported = StructType(), {}
    for each in fields:
        try:
            one = _converted(spark, storage.parquet_message_of(message, each))
        except (AnalysisException, Py4JJavaError):
            unsupported[each.getName()] = kinds.get(each.getName(), str(each.toString()))
        else:
            found = StructType([*found.fields, *one.fields])
    return TableSchema("parquet", found, unsupported, nanoseconds)


def _converted(spark: SparkSession, message: Any) -> StructType:
    jvm: Any = spark.sparkContext._jvm  # PySpark has no public API for its gateway
    package = jvm.org.apache.spark.sql.execution.datasources.parquet
    converter = getattr(package, _CONVERTER)(spark._jsparkSession.sessionState().conf())
    return StructType.fromJson(json.loads(converter.convert(message).json()))
