"""Functions that start builds and read their results."""

from __future__ import annotations

from typing import Any

from emulator.app import Emulator
from tests.polling import eventually

BUILD_TIMEOUT_S = 30.0


def start(emulator: Emulator, commands: str = "", **arguments: Any) -> str:
    """Start a build and return its id.

    Args:
        commands: YAML list of the build phase's commands; the default is the project's buildspec.
    """
    if commands:
        arguments["buildspecOverride"] = f"version: 0.2\nphases:\n  build:\n    commands: {commands}\n"
    return str(emulator.client("codebuild").start_build(projectName="shop", **arguments)["build"]["id"])


def finished(emulator: Emulator, build_id: str) -> dict[str, Any]:
    """Wait for the end of a build and return its description."""

    def look() -> dict[str, Any] | None:
        build = emulator.client("codebuild").batch_get_builds(ids=[build_id])["builds"][0]
        return dict(build) if build["buildComplete"] else None

    return eventually(look, BUILD_TIMEOUT_S, f"build {build_id} ends")


def log_of(emulator: Emulator, build: dict[str, Any]) -> list[str]:
    """Output of a build's commands: its log without CodeBuild's lines."""
    logs = build["logs"]
    found = emulator.client("logs").get_log_events(
        logGroupName=logs["groupName"], logStreamName=logs["streamName"], startFromHead=True
    )
    return [e["message"] for e in found["events"] if not e["message"].startswith("[Container]")]


def phases_of(build: dict[str, Any]) -> dict[str, str]:
    """Status of each phase by phase type."""
    return {phase["phaseType"]: phase.get("phaseStatus", "") for phase in build["phases"]}
