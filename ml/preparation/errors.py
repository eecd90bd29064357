"""Exceptions of the preparation job; every message is one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException

from ml.preparation.detect.input_error import InputError

__all__ = ["InputError", "StepError", "root_cause", "step"]

_PYTHON_TRACEBACK = "Traceback (most recent call last)"


class StepError(Exception):
    """Failure of a step that the input did not cause; the message names the step and the cause."""


@contextmanager
def step(name: str) -> Iterator[None]:
    """Context of one step of the job: adds the step's name to Spark errors.

    Args:
        name: the step, for the message.

    Raises:
        StepError: Spark failed; the message holds the root cause.
    """
    try:
        yield
    except (Py4JError, PySparkException) as error:
        raise StepError(f"{name} failed: {root_cause(error)}") from error


def root_cause(error: Exception) -> str:
    """The innermost cause as one line: the last line of a Python worker's traceback, else the first line."""
    if isinstance(error, Py4JJavaError):
        cause = error.java_exception
        while cause.getCause() is not None:
            cause = cause.getCause()
        text = str(cause.toString())
    else:
        text = str(error)
    lines = [line for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if _PYTHON_TRACEBACK in lines[0] else lines[0]
