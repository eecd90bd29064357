"""Typed configuration of the account program (`account/Pulumi.<account>.yaml`)."""

from __future__ import annotations

from typing import Annotated

import pulumi
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Section(BaseModel):
    """Base of a section: unknown keys and values of another type are refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class GitLabConfig(Section):
    """The GitLab instance, the project and the branch that deploys."""

    url: str
    project: str
    branch: str


class StateConfig(Section):
    """Bucket of the Pulumi state, and the key of the bucket and of the stages' secrets."""

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    key_arn: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/.+$")]


class AccountConfig(Section):
    """Configuration of an account."""

    region: str
    stages: Annotated[
        list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,9}$")]], Field(min_length=1, max_length=10)
    ]
    gitlab: GitLabConfig
    state: StateConfig
    jenkins_principal_arn: str | None


def load() -> AccountConfig:
    """The configuration of the current stack.

    Raises:
        pulumi.RunError: a key is unknown, missing or wrong; Pulumi prints the message without a traceback.
    """
    config = pulumi.Config()
    document = {
        "region": pulumi.Config("aws").require("region"),
        "stages": config.require_object("stages"),
        "gitlab": config.require_object("gitlab"),
        "state": config.require_object("state"),
        "jenkins_principal_arn": config.get("jenkins_principal_arn") or None,
    }
    try:
        return AccountConfig.model_validate(document)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        raise pulumi.RunError(f"{config.name}:{key}: {fault['msg']}") from None
