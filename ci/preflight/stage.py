"""A stage as the checks see it: its configuration, its AWS clients and its environment variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from stacks.config import ConfigError, StageConfig, of_values

# Services whose API is in one region only (AWS general reference, service endpoints).
GLOBAL_REGION = "us-east-1"
GLOBAL_SERVICES = ("budgets", "ce", "iam")


class StageFileError(Exception):
    """The stage file is absent or wrong; the message gives the reason in one line."""


@dataclass(frozen=True)
class StageInAccount:
    """A stage and the account that it is deployed to.

    Attributes:
        config: configuration of the stage.
        project: name of the Pulumi project, the first part of names.
        secrets_provider: ``secretsprovider`` of the stage file; empty without one.
        environment: environment variables of the command.
        connect: (service, region) to a boto3 client with timeouts.
    """

    config: StageConfig
    project: str
    secrets_provider: str
    environment: Mapping[str, str]
    connect: Callable[[str, str], Any]

    @property
    def prefix(self) -> str:
        """First part of the names of the stage's resources."""
        return f"{self.project}-{self.config.stage}-"

    def client(self, service: str) -> Any:
        """Client in the region of the stage, or in that of a global service."""
        return self.connect(service, GLOBAL_REGION if service in GLOBAL_SERVICES else self.config.region)

    def pages(self, service: str, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        """Elements of the list `key`, from every page of a list operation."""
        for page in self.client(service).get_paginator(operation).paginate(**parameters):
            yield from page.get(key, ())

    @cached_property
    def account_id(self) -> str:
        """Account of the credentials."""
        return str(self.client("sts").get_caller_identity()["Account"])


def load_stage(
    name: str, root: Path, environment: Mapping[str, str], connect: Callable[[str, str], Any]
) -> StageInAccount:
    """Read ``Pulumi.yaml`` and ``Pulumi.<stage>.yaml``.

    Raises:
        StageFileError: a file is absent or is not YAML, or a key of the configuration is wrong.
    """
    path = root / f"Pulumi.{name}.yaml"
    try:
        project = str(yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))["name"])
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        config = of_values(document["config"], project=project, stage=name)
    except FileNotFoundError as error:
        raise StageFileError(f"{error.filename}: no such file") from None
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise StageFileError(f"{path.name}: not a stage file: {' '.join(str(error).split())}") from None
    except ConfigError as error:
        raise StageFileError(f"{path.name}: {error}") from None
    return StageInAccount(
        config=config,
        project=project,
        secrets_provider=str(document.get("secretsprovider") or ""),
        environment=environment,
        connect=connect,
    )
