"""Progress of the steps of a run, on the terminal and in ``out/run.json``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Literal, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

Status = Literal["running", "succeeded", "failed", "rejected", "interrupted"]
MARKS: dict[Status, tuple[str, str]] = {
    "running": ("…", "cyan"),
    "succeeded": ("✓", "green"),
    "failed": ("✗", "red"),
    "rejected": ("✗", "yellow"),
    "interrupted": ("■", "yellow"),
}
REFRESH_PER_SECOND = 8


@dataclass
class Step:
    """One step: its status, ``seconds`` of wall time, and its newest message."""

    name: str
    status: Status = "running"
    seconds: float = 0.0
    detail: str = ""
    started: float = 0.0

    def elapsed(self) -> float:
        return self.seconds if self.status != "running" else time.monotonic() - self.started


class Timeline:
    """Progress display: a spinner per running step on a terminal, otherwise plain lines."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.steps: list[Step] = []
        self._live = Live(
            console=console, get_renderable=self._running, refresh_per_second=REFRESH_PER_SECOND
        )

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for step in self.steps:
            if step.status == "running":
                self.end(step, "interrupted" if kind is KeyboardInterrupt else "failed")
        if self.console.is_terminal:
            self._live.stop()

    def begin(self, name: str, detail: str = "") -> Step:
        """Start a step."""
        step = Step(name, started=time.monotonic(), detail=detail)
        self.steps.append(step)
        if not self.console.is_terminal:
            self.console.print(f"… {name}", highlight=False)
        return step

    def end(self, step: Step, status: Status = "succeeded", seconds: float | None = None) -> None:
        """End a step, now or with the duration that the service reports."""
        step.seconds = time.monotonic() - step.started if seconds is None else seconds
        step.status = status
        self.console.print(_line(step))

    @contextmanager
    def step(self, name: str, detail: str = "") -> Iterator[Step]:
        """Context manager for a step that fails when its block raises."""
        step = self.begin(name, detail)
        try:
            yield step
        except KeyboardInterrupt:
            self.end(step, "interrupted")
            raise
        except BaseException:
            self.end(step, "failed")
            raise
        self.end(step)

    def refresh(self) -> None:
        """Draw the running steps now, on a terminal."""
        self._live.refresh()

    def as_json(self) -> list[dict[str, object]]:
        """``step``, ``seconds`` and ``status`` of each step, in start order."""
        rows = [asdict(step) for step in self.steps]
        return [{"step": r["name"], "seconds": round(r["seconds"], 2), "status": r["status"]} for r in rows]

    def _running(self) -> RenderableType:
        running = [step for step in self.steps if step.status == "running"]
        return Group(*(Spinner("dots", _line(step), style="cyan") for step in running))


def _line(step: Step) -> RenderableType:
    mark, colour = MARKS[step.status]
    line = Table.grid(padding=(0, 1), expand=True)
    line.add_column(min_width=1)
    line.add_column(min_width=18)
    line.add_column(min_width=8, justify="right")
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    cells = [Text(step.name), Text(f"{step.elapsed():.1f} s", style="dim"), Text(step.detail, style="dim")]
    line.add_row(Text("" if step.status == "running" else mark, style=colour), *cells)
    return line
