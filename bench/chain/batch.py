"""A batch of injections on one stage, in a process: results come back through a queue, one per injection."""

from __future__ import annotations

import contextlib
import os
import queue
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.queues import Queue
from typing import Any

from bench.chain.deliveries import at_once
from bench.chain.inbox import Inbox, text_of
from bench.chain.invariants import After, violations
from bench.chain.kinds import KINDS, Injected
from bench.chain.short_stage import ShortStage, short_stage

BASELINE = "none"
BASELINE_INTERVAL = 25  # injections between baselines: damage that an injection has hidden would show there


@dataclass(frozen=True, order=True)
class Injection:
    """One kind of fault with one seed."""

    kind: str
    seed: int


@dataclass(frozen=True)
class Result:
    """Result of an injection.

    Attributes:
        broken: invariants that did not hold.
        detail: what was done.
        n_requests: requests to the API.
        cpu_s: CPU time of the stage and its processes.
        hit: see `Injected`.
    """

    kind: str
    seed: int
    seconds: float
    broken: list[str]
    detail: str
    n_requests: int
    cpu_s: float = 0.0
    hit: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def run_batch(
    number: int, todo: Queue[Injection], done: Queue[Result | str], recording: bytes | None, scale: float
) -> None:
    """Take injections until there are none, or the parent process has ended.

    An injection after a broken one gets a new stage.

    Args:
        number: number of the batch; its baselines have this seed.
        todo: injections of all batches.
        done: gets the results; a text is an error that ends the batch.
        recording: recording of the steps; None: real steps.
        scale: scale of the recorded times.
    """
    parent = os.getppid()
    try:
        while not todo.empty():
            with short_stage(number, recording, scale) as stage:
                for result in _on_one_stage(stage, number, todo):
                    done.put(result)
                    if os.getppid() != parent:  # the command was killed
                        return
    except Exception as error:
        done.put(f"batch {number}: {type(error).__name__}: {error}")
        raise


def _on_one_stage(stage: ShortStage, number: int, todo: Queue[Injection]) -> Iterator[Result]:
    """Results until there is nothing to do, or an invariant was broken; begins and goes on with baselines."""
    inbox = Inbox(stage.stage)
    n_since_baseline = BASELINE_INTERVAL
    while True:
        if n_since_baseline >= BASELINE_INTERVAL:
            n_since_baseline = 0
            injection = Injection(BASELINE, number)
        else:
            n_since_baseline += 1
            try:
                injection = todo.get(timeout=0.5)
            except queue.Empty:
                return
        result = inject(stage, injection, inbox)
        yield result
        if result.broken:
            return


def inject(stage: ShortStage, injection: Injection, inbox: Inbox) -> Result:
    """Inject one fault, and check the invariants."""
    began, cpu_before_s = time.monotonic(), _cpu_s()
    rng = random.Random(f"{injection.kind} {injection.seed}")  # noqa: S311 - faults, no secrets
    inbox.receive()
    stage.begin()
    injected, broken, undelivered = Injected(()), [], []
    with stage.clients() as client:
        try:
            injected = KINDS[injection.kind](stage, rng)
            with contextlib.suppress(TimeoutError):
                stage.settle()
            undelivered = stage.undelivered()
        except TimeoutError as error:
            broken.append(f"no event without an outcome: {error}")
        finally:
            stage.deliveries.fault = at_once
            stage.emulator.throttled_share = 0.0
    if not broken:
        notifications = [text_of(each) for each in inbox.receive()]
        found = After(
            stage, injected, client, stage.packages(), stage.executions(), notifications, undelivered
        )
        broken = violations(found)
    return Result(
        injection.kind,
        injection.seed,
        round(time.monotonic() - began, 2),
        broken,
        injected.detail,
        client.n_requests,
        round(_cpu_s() - cpu_before_s, 2),
        injected.hit,
    )


def _cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])
