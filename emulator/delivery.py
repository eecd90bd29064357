"""At-least-once delivery: retries with exponential backoff, a maximum age, dead-letter queues.

EventBridge rules, EventBridge Scheduler and asynchronous Lambda invocations use it, each with its own
parameters.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Literal

log = logging.getLogger("emulator.delivery")

Exhausted = Literal["", "attempts", "age"]


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff: ``first_s``, twice that, and so on up to ``longest_s``.

    Attributes:
        jitter: share of each wait that is random, 0 to 1.
    """

    first_s: float
    longest_s: float
    jitter: float = 0.0

    def wait_s(self, n_failures: int) -> float:
        """Seconds to wait after failure number ``n_failures``; the first failure is number 1."""
        wait_s = min(self.first_s * 2.0 ** min(n_failures - 1, 64), self.longest_s)
        return wait_s * (1 - self.jitter * random.random())  # noqa: S311 - spreads load, no secret


@dataclass(frozen=True)
class RetryPolicy:
    """Retries of a delivery: how many, for how long, and the waits between them.

    Attributes:
        throttling: waits after throttled attempts, which do not count as retries; None: they count.
    """

    max_retries: int
    max_age_s: float
    backoff: Backoff
    throttling: Backoff | None = None

    def limited(self, settings: Mapping[str, Any]) -> RetryPolicy:
        """This policy with a request's MaximumRetryAttempts and MaximumEventAgeInSeconds, if they are set."""
        return replace(
            self,
            max_retries=settings.get("MaximumRetryAttempts", self.max_retries),
            max_age_s=settings.get("MaximumEventAgeInSeconds", self.max_age_s),
        )


class DeliveryError(Exception):
    """A failed attempt; ``code`` is the service's error code."""

    def __init__(self, code: str, message: str, *, retryable: bool = False, throttled: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable or throttled
        self.throttled = throttled


@dataclass(frozen=True)
class Failure:
    """Reason why a delivery was given up.

    Attributes:
        n_retries: attempts after the first one.
        exhausted: the limit that was reached; empty when a retry could not have helped.
    """

    error: DeliveryError
    n_retries: int
    exhausted: Exhausted


class Delivery(ABC):
    """Delivery of one event to one target.

    Attributes:
        label: name in the log.
        dead_letter_arn: queue or topic for the event when it is given up; empty if there is none.
    """

    label: str
    policy: RetryPolicy
    dead_letter_arn: str

    @abstractmethod
    def attempt(self, number: int) -> None:
        """Deliver the event; ``number`` counts from 1, without throttled attempts.

        Raises:
            DeliveryError: the target did not accept the event.
        """

    @abstractmethod
    def send_dead_letter(self, failure: Failure) -> None:
        """Send the event to `dead_letter_arn`; errors are logged by the caller."""

    def send_failure(self, failure: Failure) -> bool:
        """Send the failure to another destination; False if there is none."""
        del failure
        return False


@dataclass(frozen=True)
class _Progress:
    """Attempts of one delivery so far."""

    delivery: Delivery
    started: float = field(default_factory=time.monotonic)
    n_failures: int = 0
    n_throttled: int = 0


class DeliveryQueue:
    """Worker threads that attempt each delivery until it succeeds or is given up."""

    def __init__(self, name: str, n_workers: int) -> None:
        self._pool = ThreadPoolExecutor(n_workers, thread_name_prefix=name)
        self._closed = threading.Event()

    def submit(self, delivery: Delivery) -> None:
        """Queue a delivery."""
        self._queue(_Progress(delivery))

    def close(self) -> None:
        """Drop deliveries that are queued or wait for a retry."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _queue(self, progress: _Progress) -> None:
        if not self._closed.is_set():
            self._pool.submit(self._attempt, progress)

    def _attempt(self, progress: _Progress) -> None:
        try:
            progress.delivery.attempt(progress.n_failures + 1)
        except DeliveryError as error:
            self._fail(progress, error)
        except Exception as error:  # the thread pool would discard it
            if not self._closed.is_set():
                log.exception("%s", progress.delivery.label)
                self._fail(progress, DeliveryError(type(error).__name__, repr(error)))

    def _fail(self, progress: _Progress, error: DeliveryError) -> None:
        policy = progress.delivery.policy
        if error.throttled and policy.throttling is not None:
            progress = replace(progress, n_throttled=progress.n_throttled + 1)
            wait_s = policy.throttling.wait_s(progress.n_throttled)
        else:
            progress = replace(progress, n_failures=progress.n_failures + 1)
            wait_s = policy.backoff.wait_s(progress.n_failures)
        n_retries = max(progress.n_failures - 1, 0)
        if not error.retryable:
            self._give_up(progress.delivery, Failure(error, n_retries, ""))
        elif progress.n_failures > policy.max_retries:
            self._give_up(progress.delivery, Failure(error, n_retries, "attempts"))
        elif time.monotonic() - progress.started + wait_s > policy.max_age_s:
            self._give_up(progress.delivery, Failure(error, n_retries, "age"))
        else:
            timer = threading.Timer(wait_s, self._queue, args=(progress,))
            timer.daemon = True
            timer.start()

    def _give_up(self, delivery: Delivery, failure: Failure) -> None:
        log.warning("%s: %s: %s", delivery.label, failure.error.code, failure.error)
        dead_letter_sent = False
        if delivery.dead_letter_arn:
            try:
                delivery.send_dead_letter(failure)
                dead_letter_sent = True
            except Exception as error:
                log.error("%s: dead-letter queue %s: %s", delivery.label, delivery.dead_letter_arn, error)
        if not (delivery.send_failure(failure) or dead_letter_sent):
            log.error("%s: no dead letter was sent; the event is lost", delivery.label)


def string_attributes(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """SQS message attributes of type String."""
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
