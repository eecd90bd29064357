"""What can go wrong in the preparation, each as one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException

_PYTHON_TRACEBACK = "Traceback (most recent call last)"


class InputError(Exception):
    """The input or an argument cannot be used; the message says which, and what to do about it."""


class StepError(Exception):
    """A step failed for a reason that is not the input's; the message names the step and the reason."""


@contextmanager
def step(name: str) -> Iterator[None]:
    """Run one step of the job, so that a failure in Spark names the step and its own first cause.

    Args:
        name: the step, for the message.

    Raises:
        StepError: something went wrong in Spark.
    """
    try:
        yield
    except (Py4JError, PySparkException) as error:
        raise StepError(f"{name} failed: {first_cause(error)}") from error


def first_cause(error: Exception) -> str:
    """The innermost cause as one line: a Python worker's last line, of anything else the first."""
    if isinstance(error, Py4JJavaError):
        cause = error.java_exception
        while cause.getCause() is not None:
            cause = cause.getCause()
        text = str(cause.toString())
    else:
        text = str(error)
    lines = [line for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if _PYTHON_TRACEBACK in lines[0] else lines[0]
