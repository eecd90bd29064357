"""One AWS region of the emulator: clients, moto's backends, logs and child environments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from emulator import moto_state
from emulator.environment import child_environment
from emulator.host import Host

MAX_ROLE_SESSION_NAME = 64  # STS API reference, AssumeRole


@dataclass(frozen=True)
class Region:
    """Access to one region: clients, moto's backends, logs and environments of child processes."""

    host: Host
    name: str

    @property
    def account_id(self) -> str:
        """The emulator's only account."""
        return self.host.account_id

    def client(self, service: str) -> Any:
        """boto3 client of the emulator in this region."""
        return self.host.client(service, self.name)

    def backend(self, service: str) -> Any:
        """moto's model of a service; see `moto_state.backend`."""
        return moto_state.backend(service, self.name)

    def arn(self, service: str, resource: str) -> str:
        """ARN of a resource of this account and region."""
        return f"arn:aws:{service}:{self.name}:{self.account_id}:{resource}"

    def log(self, group: str, stream: str, line: str) -> None:
        """Append one event to CloudWatch Logs and to the stream's file."""
        self.host.logs.put(group, stream, line, self.name)

    def child_env(self, **extra: str) -> dict[str, str]:
        """Environment of a child process: PATH, endpoint, fake credentials, then ``extra``."""
        own = child_environment(self.host.url, self.name, self.host.home)
        return {**own, "TMPDIR": str(self.host.home), **extra}

    def role_env(self, role_arn: str, session: str) -> dict[str, str]:
        """Region, endpoint and temporary credentials of a role, as a service sets them for user code."""
        name = re.sub(r"[^\w+=,.@-]", "-", session)[:MAX_ROLE_SESSION_NAME].ljust(2, "-")
        assumed = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName=name)
        credentials = assumed["Credentials"]
        return {
            "AWS_ENDPOINT_URL": self.host.url,
            "AWS_REGION": self.name,
            "AWS_DEFAULT_REGION": self.name,
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
            "AWS_EC2_METADATA_DISABLED": "true",
        }
