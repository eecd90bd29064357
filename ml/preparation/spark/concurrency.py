"""Independent Spark actions at the same time: while one plans or ends, another has the cores."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def together(*actions: Callable[[], Result]) -> list[Result]:
    """What the actions return, in their order.

    Raises:
        Exception: what the first that failed raised, once all of them have ended.
    """
    with ThreadPoolExecutor(len(actions)) as pool:
        return [each.result() for each in [pool.submit(action) for action in actions]]
