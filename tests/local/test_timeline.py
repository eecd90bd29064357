"""Timeline of a run: output with and without a terminal, JSON, and steps after an exception."""

import contextlib
import io

import pytest
from rich.console import Console
from rich.spinner import SPINNERS

from local.timeline import Timeline


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=100)


def printed(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined]  # the fixture's StringIO


def test_steps_are_plain_lines_without_a_terminal(console: Console) -> None:
    with Timeline(console) as timeline, timeline.step("deploy", "a stage"):
        pass
    lines = printed(console).splitlines()
    assert lines[0] == "… deploy"
    assert lines[1].startswith("✓ deploy")
    assert "a stage" in lines[1]
    assert "\x1b" not in printed(console)


def test_terminal_shows_a_spinner_and_one_line_per_finished_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Timeline(console) as timeline:
        with timeline.step("first"):
            timeline.refresh()
        with timeline.step("second"):
            pass
    assert "\x1b" in printed(console)
    assert set(SPINNERS["dots"]["frames"]) & set(printed(console))
    assert printed(console).count("✓") == 2
    assert "… first" not in printed(console)


def test_json_contains_every_step_in_order_with_seconds_and_status(console: Console) -> None:
    with Timeline(console) as timeline:
        with timeline.step("deploy"):
            pass
        observed = timeline.begin("NCFTraining")
        timeline.end(observed, "succeeded", 12.346)
        with contextlib.suppress(ValueError), timeline.step("rollout"):
            raise ValueError("broken")
    rows = timeline.as_json()
    assert [(row["step"], row["status"]) for row in rows] == [
        ("deploy", "succeeded"),
        ("NCFTraining", "succeeded"),
        ("rollout", "failed"),
    ]
    assert rows[1]["seconds"] == 12.35
    assert all(isinstance(row["seconds"], float) and row["seconds"] >= 0 for row in rows)


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")])
def test_no_step_is_running_after_an_exception(
    console: Console, error: type[BaseException], status: str
) -> None:
    with contextlib.suppress(error), Timeline(console) as timeline:
        timeline.begin("build")
        with timeline.step("rollout"):
            raise error
    assert [row["status"] for row in timeline.as_json()] == [status, status]
