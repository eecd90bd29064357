"""The emulator as a client sees it: from the process that runs it, or from another terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from emulator.environment import make_client
from local.errors import BadInputError

STATE_FILE = Path(".local/stage.json")


@dataclass(frozen=True)
class DeployedStage:
    """A stage in a running emulator: where it is, and the stack's outputs."""

    stage: str
    url: str
    region: str
    pid: int
    outputs: Mapping[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A client of the emulator that reads none of the user's own AWS settings."""
        if service not in self._clients:
            self._clients[service] = make_client(service, self.url, self.region)
        return self._clients[service]

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    def remember(self) -> None:
        """Let other terminals find this stage."""
        STATE_FILE.parent.mkdir(exist_ok=True)
        STATE_FILE.write_text(json.dumps(asdict(self), indent=2) + "\n")

    def forget(self) -> None:
        """The stage is gone; a newer one's file stays."""
        if STATE_FILE.exists() and json.loads(STATE_FILE.read_text())["pid"] == self.pid:
            STATE_FILE.unlink()


def running_stage() -> DeployedStage:
    """The stage that ``make up SERVE=1`` serves in this folder.

    Raises:
        BadInputError: there is none, or its process has ended.
    """
    if STATE_FILE.exists():
        stage = DeployedStage(**json.loads(STATE_FILE.read_text()))
        if psutil.pid_exists(stage.pid):
            return stage
    raise BadInputError("nothing serves here: run `make up SERVE=1` in another terminal first")
