"""Waiting for the outputs of a program takes one wait per completed task, and a failure is raised."""

from __future__ import annotations

import asyncio
import random

import pytest

from local.deploy.output_tasks import OutputTasks


async def wait_for_all(tasks: OutputTasks) -> int:
    """Wait as Pulumi's `wait_for_rpcs` does; returns the number of futures that it waited for."""
    n_waited = 0
    while tasks:
        pending = list(tasks)
        n_waited += len(pending)
        tasks.clear()
        done, not_done = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
        for task in not_done:
            tasks.add(task)
    return n_waited


def track(tasks: OutputTasks, task: asyncio.Future[None]) -> None:
    """Add a task as Pulumi does: it stays in the set if it fails."""
    tasks.add(task)
    task.add_done_callback(lambda done: None if done.cancelled() or done.exception() else tasks.discard(done))


async def ends(after_s: float, error: Exception | None = None) -> None:
    await asyncio.sleep(after_s)
    if error is not None:
        raise error


def test_all_tasks_end_with_at_most_one_wait_each() -> None:
    async def program() -> tuple[int, list[asyncio.Task[None]]]:
        tasks = OutputTasks()
        started = [asyncio.ensure_future(ends(random.Random(i).random() / 50)) for i in range(200)]
        for task in started:
            track(tasks, task)
        return await wait_for_all(tasks), started

    n_waited, started = asyncio.run(program())
    assert all(task.done() for task in started)
    assert n_waited <= len(started) + 1


@pytest.mark.parametrize("after_s", [0.0, 0.02])
def test_failure_is_raised_although_another_task_never_ends(after_s: float) -> None:
    async def program() -> None:
        tasks = OutputTasks()
        track(tasks, asyncio.get_running_loop().create_future())
        track(tasks, asyncio.ensure_future(ends(0.01)))
        track(tasks, asyncio.ensure_future(ends(after_s, ValueError("bucket"))))
        await asyncio.wait_for(wait_for_all(tasks), 5)

    with pytest.raises(ValueError, match="bucket"):
        asyncio.run(program())


def test_failed_task_that_was_taken_over_is_not_raised() -> None:
    async def program() -> None:
        tasks = OutputTasks()
        failing = asyncio.ensure_future(ends(0.0, ValueError("taken over")))
        track(tasks, failing)
        tasks.discard(failing)
        track(tasks, asyncio.ensure_future(ends(0.01)))
        await asyncio.wait_for(wait_for_all(tasks), 5)
        assert failing.exception() is not None

    asyncio.run(program())
