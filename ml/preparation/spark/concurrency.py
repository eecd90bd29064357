"""Concurrent execution of independent Spark actions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def run_concurrently(*actions: Callable[[], Result]) -> list[Result]:
    """Run each action in its own thread and return the results in the order of the actions.

    While one action is being planned or committed, the tasks of another use the cores.

    Raises:
        Exception: the error of the first action, in order, that failed; raised after all actions have ended.
    """
    with ThreadPoolExecutor(len(actions)) as pool:
        return [each.result() for each in [pool.submit(action) for action in actions]]
