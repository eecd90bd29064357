"""Retries, backoff, maximum age and dead letters of a delivery queue."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from emulator.delivery import Backoff, Delivery, DeliveryError, DeliveryQueue, Failure, RetryPolicy
from tests.polling import eventually

AT_ONCE = Backoff(first_s=0.001, longest_s=0.001)


class Recorded(Delivery):
    """Delivery that raises the given errors in turn, then succeeds.

    Attributes:
        attempts: numbers of the attempts.
        failures: failures that were sent as dead letters.
    """

    label = "recorded"

    def __init__(self, policy: RetryPolicy, *errors: Exception, dead_letter_arn: str = "queue") -> None:
        self.policy = policy
        self.dead_letter_arn = dead_letter_arn
        self.attempts: list[int] = []
        self.failures: list[Failure] = []
        self.ended = threading.Event()
        self._errors = iter(errors)

    def attempt(self, number: int) -> None:
        self.attempts.append(number)
        if error := next(self._errors, None):
            raise error
        self.ended.set()

    def send_dead_letter(self, failure: Failure) -> None:
        self.failures.append(failure)

    def send_failure(self, failure: Failure) -> bool:
        self.ended.set()
        return False


@pytest.fixture
def queue() -> Iterator[DeliveryQueue]:
    opened = DeliveryQueue("test", 2)
    yield opened
    opened.close()


def deliver(queue: DeliveryQueue, delivery: Recorded) -> Recorded:
    queue.submit(delivery)
    assert delivery.ended.wait(10)
    return delivery


def busy() -> Iterator[DeliveryError]:
    return (DeliveryError("BUSY", "later", retryable=True) for _ in itertools.count())


def throttled() -> Iterator[DeliveryError]:
    return (DeliveryError("SLOW", "later", throttled=True) for _ in itertools.count())


def test_delivery_is_retried_until_it_succeeds(queue: DeliveryQueue) -> None:
    policy = RetryPolicy(max_retries=5, max_age_s=60, backoff=AT_ONCE)
    delivery = deliver(queue, Recorded(policy, *itertools.islice(busy(), 2)))
    assert (delivery.attempts, delivery.failures) == ([1, 2, 3], [])


def test_dead_letter_follows_last_retry(queue: DeliveryQueue) -> None:
    policy = RetryPolicy(max_retries=2, max_age_s=60, backoff=AT_ONCE)
    delivery = deliver(queue, Recorded(policy, *itertools.islice(busy(), 9)))
    assert delivery.attempts == [1, 2, 3]
    (failure,) = delivery.failures
    assert (failure.error.code, failure.n_retries, failure.exhausted) == ("BUSY", 2, "attempts")


def test_retry_stops_at_maximum_age(queue: DeliveryQueue) -> None:
    policy = RetryPolicy(max_retries=5, max_age_s=1, backoff=Backoff(first_s=2, longest_s=2))
    delivery = deliver(queue, Recorded(policy, *itertools.islice(busy(), 9)))
    (failure,) = delivery.failures
    assert (delivery.attempts, failure.n_retries, failure.exhausted) == ([1], 0, "age")


def test_permanent_error_is_dead_lettered_without_retry(queue: DeliveryQueue) -> None:
    policy = RetryPolicy(max_retries=5, max_age_s=60, backoff=AT_ONCE)
    delivery = deliver(queue, Recorded(policy, DeliveryError("GONE", "no such queue")))
    (failure,) = delivery.failures
    assert (delivery.attempts, failure.error.code, failure.exhausted) == ([1], "GONE", "")


def test_unexpected_error_is_dead_lettered(queue: DeliveryQueue) -> None:
    policy = RetryPolicy(max_retries=5, max_age_s=60, backoff=AT_ONCE)
    delivery = deliver(queue, Recorded(policy, KeyError("x")))
    (failure,) = delivery.failures
    assert (failure.error.code, str(failure.error)) == ("KeyError", "KeyError('x')")


def test_throttled_attempts_count_unless_policy_excludes_them(queue: DeliveryQueue) -> None:
    errors = [*itertools.islice(throttled(), 4), *itertools.islice(busy(), 9)]
    counted = RetryPolicy(max_retries=1, max_age_s=60, backoff=AT_ONCE)
    assert deliver(queue, Recorded(counted, *errors)).attempts == [1, 2]
    not_counted = RetryPolicy(max_retries=1, max_age_s=60, backoff=AT_ONCE, throttling=AT_ONCE)
    assert deliver(queue, Recorded(not_counted, *errors)).attempts == [1, 1, 1, 1, 1, 2]


def test_lost_event_is_logged(queue: DeliveryQueue, caplog: pytest.LogCaptureFixture) -> None:
    policy = RetryPolicy(max_retries=0, max_age_s=60, backoff=AT_ONCE)
    with caplog.at_level("WARNING"):
        delivery = deliver(queue, Recorded(policy, DeliveryError("GONE", "no target"), dead_letter_arn=""))
        lost = "recorded: no dead letter was sent; the event is lost"
        eventually(lambda: lost in caplog.messages, what="the loss is logged")
    assert delivery.failures == []
    assert "recorded: GONE: no target" in caplog.messages


def test_closed_queue_delivers_nothing() -> None:
    queue = DeliveryQueue("test", 1)
    queue.close()
    delivery = Recorded(RetryPolicy(max_retries=0, max_age_s=60, backoff=AT_ONCE))
    queue.submit(delivery)
    time.sleep(0.05)
    assert delivery.attempts == []


def test_backoff_doubles_up_to_longest_wait_and_jitter_shortens_it() -> None:
    backoff = Backoff(first_s=0.5, longest_s=30)
    assert [backoff.wait_s(n) for n in (1, 2, 3, 7, 8, 2000)] == [0.5, 1, 2, 30, 30, 30]
    spread = Backoff(first_s=4, longest_s=4, jitter=0.5)
    waits = {spread.wait_s(1) for _ in range(100)}
    assert len(waits) > 1
    assert all(2 < wait <= 4 for wait in waits)


def test_policy_limits_are_overridden_by_request() -> None:
    policy = RetryPolicy(max_retries=185, max_age_s=86_400, backoff=AT_ONCE)
    limited = policy.limited({"MaximumRetryAttempts": 0})
    assert (limited.max_retries, limited.max_age_s) == (0, 86_400)
    assert policy.limited({"MaximumEventAgeInSeconds": 60}).max_age_s == 60
