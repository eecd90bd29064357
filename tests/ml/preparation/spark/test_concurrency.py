"""Concurrent actions: results in order, and errors after all actions have ended."""

from __future__ import annotations

import threading

import pytest

from ml.preparation.spark.concurrency import run_concurrently


def test_actions_are_concurrent_and_results_in_order() -> None:
    both_started = threading.Barrier(2, timeout=10)

    def start(number: int) -> int:
        both_started.wait()
        return number

    assert run_concurrently(lambda: start(1), lambda: start(2)) == (1, 2)


def test_error_is_raised_after_all_actions_have_ended() -> None:
    has_failed, ended = threading.Event(), []

    def fails() -> None:
        has_failed.set()
        raise ValueError("no room")

    def ends() -> None:
        assert has_failed.wait(10)
        ended.append(True)

    with pytest.raises(ValueError, match="no room"):
        run_concurrently(fails, ends)
    assert ended == [True]
