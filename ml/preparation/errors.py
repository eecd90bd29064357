"""What can go wrong in the preparation, each as one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException

# What the JVM says of a file that is not what its name or its first bytes promise.
_DAMAGED = ("EOFException", "ZipException", "not a gzip file", "incorrect header check", "not a Parquet file")


class InputError(Exception):
    """The input or an argument cannot be used; the message says which, and what to do about it."""


class StepError(Exception):
    """A step failed for a reason that is not the input's; the message names the step and the reason."""


@contextmanager
def step(name: str, reads: str | None = None) -> Iterator[None]:
    """Run one step of the job, so that a failure in Spark names the step and its own first cause.

    Args:
        name: the step, for the message.
        reads: the input that the step is the first to read wholly, if it does.

    Raises:
        InputError: the input is damaged.
        StepError: anything else went wrong in Spark.
    """
    try:
        yield
    except (Py4JError, PySparkException) as error:
        cause = first_cause(error)
        if reads is not None and any(sign in cause for sign in _DAMAGED):
            raise InputError(f"{reads}: damaged file: {cause}") from error
        raise StepError(f"{name} failed: {cause}") from error


def first_cause(error: Exception) -> str:
    """The innermost Java cause as one line, or the first line of the error itself."""
    if isinstance(error, Py4JJavaError):
        cause = error.java_exception
        while cause.getCause() is not None:
            cause = cause.getCause()
        text = str(cause.toString())
    else:
        text = str(error)
    return (text.splitlines() or [type(error).__name__])[0]
