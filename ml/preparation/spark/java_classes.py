"""Java classes as attributes of PySpark's gateway, each looked up once.

py4j asks the JVM for a name such as ``org`` in ``jvm.org.apache.hadoop.fs.Path`` every time that it is used.
The JVM then looks for a class ``org``, in each package that PySpark imports and each time in all of Spark's
250 jars, before it says that this is a package.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from py4j.java_gateway import JavaClass, JavaMember, JavaPackage
from pyspark.sql import SparkSession

# What PySpark names in full for each observation, window and exception.
_PACKAGES = ("java", "org", "py4j")


class _Class(JavaClass):
    """A class whose static methods are looked up once."""

    def __getattr__(self, name: str) -> Any:
        member = super().__getattr__(name)
        if isinstance(member, JavaMember):  # the value of a field can change
            self.__dict__[name] = member
        return member


class _Package(JavaPackage):
    """A package whose packages and classes are looked up once."""

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if isinstance(found, JavaClass):
            found = _Class(found._fqn, self._gateway_client)
        elif isinstance(found, JavaPackage):
            found = _Package(found._fqn, self._gateway_client, self._jvm_id)
        self.__dict__[name] = found
        return found


def import_classes(spark: SparkSession, names: Iterable[str]) -> Any:
    """Bind Java classes to their simple names in the gateway's view of the JVM, which is returned.

    Args:
        spark: the session.
        names: full names of the classes.
    """
    jvm: Any = spark.sparkContext._jvm  # PySpark has no public API for its gateway
    for name in names:
        setattr(jvm, name.rpartition(".")[2], _Class(name, jvm._gateway_client))
    return jvm


def keep_packages(spark: SparkSession) -> None:
    """Let the gateway keep the packages and classes that are named in full, once they are found."""
    jvm: Any = spark.sparkContext._jvm
    for name in _PACKAGES:
        setattr(jvm, name, _Package(name, jvm._gateway_client, jvm._id))
