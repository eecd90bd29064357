"""Concurrent execution of independent Spark actions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

First = TypeVar("First")
Second = TypeVar("Second")


def run_concurrently(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Run two actions, each in its own thread, and return their results.

    While one action is being planned or committed, the tasks of the other use the cores.

    Raises:
        Exception: the error of the first action, or else of the second; raised after both have ended.
    """
    with ThreadPoolExecutor(2) as pool:
        of_first, of_second = pool.submit(first), pool.submit(second)
        return of_first.result(), of_second.result()
