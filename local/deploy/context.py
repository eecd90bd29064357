"""What every creator works with: clients of the emulator, names, waiting."""

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


@dataclass(frozen=True, kw_only=True)
class Context:
    """The emulator as the creators see it."""

    emulator: Emulator
    stage: Stage

    @property
    def region(self) -> str:
        return self.stage.region

    @property
    def root(self) -> Path:
        """The project's folder: relative asset paths start here."""
        return self.stage.root

    @property
    def account_id(self) -> str:
        return self.emulator.account_id

    def client(self, service: str) -> Any:
        """The boto3-compatible client of a service in the stage's region."""
        return self.emulator.client(service, self.region)

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a regional resource of this account."""
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"

    def name_of(self, inputs: Inputs, logical_name: str, *, key: str = "name", max_length: int) -> str:
        """The given name, or the prefix with random digits, or one by the project's auto-naming pattern.

        Raises:
            CreateError: the name does not fit; AWS would refuse it.
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
            raise CreateError(f"the name {name} has {len(name)} characters, {max_length} at most are allowed")
        return name


def tag_list(inputs: Inputs, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """The tags as the list that most APIs take."""
    return [{key: name, value: text} for name, text in inputs.plain("tags", {}).items()]


Creator = Callable[[Context, str, Inputs], tuple[str, dict[str, Any]]]
"""Creates one resource from its logical name and inputs; returns its id and its outputs by wire name."""
