"""Outstanding outputs of a Pulumi program."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any


class OutputTasks(set["asyncio.Future[Any]"]):
    """Tasks of outputs, for `pulumi.runtime.settings.Settings.outputs`.

    Until the set is empty, Pulumi waits for the first of its tasks to complete (`wait_for_rpcs`): it adds a
    callback to each task and removes it, once per completed task, which is half of the time of a deployment.
    Here, iteration gives one future that is done when the next task completes. A task that fails stays in the
    set, as with Pulumi's own, and is given itself, so that its exception is raised.
    """

    def __init__(self) -> None:
        super().__init__()
        self._next: asyncio.Future[None] | None = None
        self._failed: list[asyncio.Future[Any]] = []
        self._given: asyncio.Future[Any] | None = None  # a failed task that the last iteration gave

    def add(self, task: asyncio.Future[Any]) -> None:
        """Add a task; Pulumi removes it when it has completed."""
        if task not in self and task is not self._next:
            super().add(task)
            task.add_done_callback(self._completed)

    def clear(self) -> None:
        """Remove what the last iteration gave."""
        if self._given is not None:
            self.discard(self._given)

    def __iter__(self) -> Iterator[asyncio.Future[Any]]:
        self._given = next((task for task in self._failed if task in self), None)
        if self._given is not None:
            yield self._given
            return
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_future()
        yield self._next

    def _completed(self, task: asyncio.Future[Any]) -> None:
        if task in self and (task.cancelled() or task.exception() is not None):
            self._failed.append(task)
        if self._next is not None and not self._next.done():
            self._next.set_result(None)
