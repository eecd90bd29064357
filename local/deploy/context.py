"""Context of the creators: clients of the emulator, ARNs, names and tags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.app import Emulator
from local.deploy import naming
from local.deploy.errors import CreateError
from local.deploy.inputs import Inputs
from local.deploy.project import Stage

SESSION = "deployment"  # name of the role session


@dataclass(frozen=True, kw_only=True)
class Context:
    """Emulator and stage that a creator works with.

    Attributes:
        role_arn: role with whose credentials resources are created; None: the account's administrator.
    """

    emulator: Emulator
    stage: Stage
    role_arn: str | None = None

    @property
    def region(self) -> str:
        return self.stage.region

    @property
    def root(self) -> Path:
        """Folder of the project, which relative asset paths refer to."""
        return self.stage.root

    @property
    def account_id(self) -> str:
        return self.emulator.account_id

    def client(self, service: str) -> Any:
        """boto3 client of a service in the stage's region."""
        if self.role_arn is None:
            return self.emulator.client(service, self.region)
        return self.emulator.host.role_client(service, self.region, self.role_arn, SESSION)

    def arn(self, service: str, resource: str) -> str:
        """ARN of a regional resource of the account."""
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"

    def name_of(self, inputs: Inputs, logical_name: str, *, key: str = "name", max_length: int) -> str:
        """Physical name: the given name, the given prefix with random digits, or an auto-generated name.

        Args:
            key: the input with the name; the input with the prefix is ``<key>Prefix``.

        Raises:
            CreateError: the name is longer than `max_length`.
        """
        if (given := inputs.get(key)) is not None:
            name = str(given)
        else:
            prefix = inputs.get(f"{key}Prefix")
            pattern = self.stage.name_pattern if prefix is None else f"{prefix}${{hex(26)}}"
            name = naming.expand(
                pattern, project=self.stage.project, stage=self.stage.name, name=logical_name
            )
        if len(name) > max_length:
            raise CreateError(f"the name {name} has {len(name)} characters, more than {max_length}")
        return name


def tag_list(inputs: Inputs, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Tags in the list format of most APIs."""
    return [{key: name, value: text} for name, text in inputs.plain("tags", {}).items()]


def delivery_settings(target: Inputs) -> dict[str, Any]:
    """Retry policy and dead-letter queue of a target, in the format of EventBridge and its Scheduler."""
    sent = {}
    if retry := target.block("retryPolicy"):
        sent["RetryPolicy"] = retry.pick(
            {
                "maximumRetryAttempts": "MaximumRetryAttempts",
                "maximumEventAgeInSeconds": "MaximumEventAgeInSeconds",
            }
        )
    if dead_letters := target.block("deadLetterConfig"):
        sent["DeadLetterConfig"] = dead_letters.pick({"arn": "Arn"})
    return sent


Creator = Callable[[Context, str, Inputs], tuple[str, dict[str, Any]]]
"""Creates a resource from its logical name and inputs; returns its id and its outputs by wire name."""
