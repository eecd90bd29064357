"""One AWS region of the emulator: clients, moto's backends, logs and child environments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulator import moto_state
from emulator.authorization.needs import Need
from emulator.authorization.resources import Place
from emulator.environment import machine_environment
from emulator.host import Host
from emulator.role_sessions import CONTAINERS, INSTANCES


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

    def role_client(self, service: str, role_arn: str, session: str) -> Any:
        """boto3 client with a role's credentials, for calls that a service makes with the role."""
        return self.host.role_client(service, self.name, role_arn, session)

    def permits(self, role_arn: str, *needs: Need) -> bool:
        """Whether a role allows all of a service's calls; the service does without them otherwise."""
        return self.host.access.permits(role_arn, needs, self.name)

    def place(self) -> Place:
        """Partition, region and account, for ARNs of resources."""
        return Place(self.name, self.account_id)

    def backend(self, service: str) -> Any:
        """moto's model of a service; see `moto_state.backend`."""
        return moto_state.backend(service, self.name)

    def arn(self, service: str, resource: str) -> str:
        """ARN of a resource of this account and region."""
        return f"arn:aws:{service}:{self.name}:{self.account_id}:{resource}"

    def log(self, group: str, stream: str, line: str) -> None:
        """Append one event to CloudWatch Logs and to the stream's file; it may have embedded metrics."""
        self.host.logs.put(group, stream, line, self.name)
        self.host.metrics.put_embedded(self.name, line)

    def metric(self, namespace: str, dimensions: Mapping[str, str], **values: float) -> None:
        """Add a value to each of a service's metrics in CloudWatch."""
        self.host.metrics.put(self.name, namespace, dimensions, values)

    def machine_env(self) -> dict[str, str]:
        """Variables of every child process beside those of its service, see `machine_environment`."""
        return machine_environment(self.host.url)

    def function_env(self, role_arn: str, session: str) -> dict[str, str]:
        """Credentials and region of a function: Lambda sets them as variables."""
        credentials = self.host.role_credentials(role_arn, session)
        return {
            "AWS_REGION": self.name,
            "AWS_DEFAULT_REGION": self.name,
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_SESSION_TOKEN": credentials.session_token or "",
        }

    def container_env(self, role_arn: str, session: str) -> dict[str, str]:
        """Address of the endpoint from which a container's SDK reads its role's credentials."""
        opened = self.host.sessions.open(role_arn, session)
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.host.url}{CONTAINERS}/{opened.id}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": opened.token,
        }

    def instance_env(self, role_arn: str, session: str) -> dict[str, str]:
        """Address of the instance metadata service, from which an instance's SDK reads its credentials."""
        opened = self.host.sessions.open(role_arn, session)
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{self.host.url}{INSTANCES}/{opened.id}/"}
