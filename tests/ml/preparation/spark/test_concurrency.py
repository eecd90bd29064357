"""Actions at the same time: each result in its place, and no failure lost."""

from __future__ import annotations

import threading

import pytest

from ml.preparation.spark.concurrency import together


def test_actions_run_at_the_same_time_and_keep_their_order() -> None:
    both_have_begun = threading.Barrier(2, timeout=10)

    def begun(number: int) -> int:
        both_have_begun.wait()
        return number

    assert together(lambda: begun(1), lambda: begun(2)) == [1, 2]


def test_a_failure_is_raised_when_all_have_ended() -> None:
    fails_first, ended = threading.Event(), []

    def fails() -> None:
        fails_first.set()
        raise ValueError("no room")

    def ends() -> None:
        assert fails_first.wait(10)
        ended.append(True)

    with pytest.raises(ValueError, match="no room"):
        together(fails, ends)
    assert ended == [True]
