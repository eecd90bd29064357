"""Access to a stage in the emulator, from the process that runs it or from another terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import psutil

from emulator.environment import Credentials, make_client
from local.errors import BadInputError

STATE_FILE = Path(".local/stage.json")


@dataclass(frozen=True)
class DeployedStage:
    """Stage in a running emulator, with the outputs of its stack."""

    stage: str
    url: str
    region: str
    pid: int
    outputs: Mapping[str, Any] = field(default_factory=dict)
    is_read_only: ClassVar[bool] = False
    api_auth: ClassVar[None] = None

    def client(self, service: str) -> Any:
        """A boto3 client of the emulator that ignores the user's AWS settings."""
        if service not in self._clients:
            self._clients[service] = make_client(service, self.url, self.region)
        return self._clients[service]

    def role_client(self, service: str, role_arn: str) -> Any:
        """A boto3 client with the credentials of a role of the stage, whose requests are authorised."""
        assumed = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="local")["Credentials"]
        credentials = Credentials(assumed["AccessKeyId"], assumed["SecretAccessKey"], assumed["SessionToken"])
        return make_client(service, self.url, self.region, credentials)

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    def publish(self) -> None:
        """Write the state file, with which commands in other terminals find this stage."""
        STATE_FILE.parent.mkdir(exist_ok=True)
        STATE_FILE.write_text(json.dumps(asdict(self), indent=2) + "\n")

    def withdraw(self) -> None:
        """Delete the state file, unless it belongs to a newer stage."""
        if STATE_FILE.exists() and json.loads(STATE_FILE.read_text())["pid"] == self.pid:
            STATE_FILE.unlink()


def running_stage() -> DeployedStage:
    """The stage that ``make up SERVE=1`` serves from this folder.

    Raises:
        BadInputError: no stage is running.
    """
    if STATE_FILE.exists():
        stage = DeployedStage(**json.loads(STATE_FILE.read_text()))
        if psutil.pid_exists(stage.pid):
            return stage
    raise BadInputError("no stage is running in this folder: run `make up SERVE=1` in another terminal first")
