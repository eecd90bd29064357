"""What to do about an endpoint and the model packages of a group, decided without AWS.

The rule is one: the endpoint serves the newest approved package that was not rolled back.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

MAX_NAME = 63  # SageMaker API, EndpointConfigName and ModelName
DIGEST_LENGTH = 8
PACKAGE_ARN = re.compile(
    r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:model-package/(?P<group>[^/]+)/(?P<version>\d+)"
)
APPROVAL_EVENT = "SageMaker Model Package State Change"
ENDPOINT_EVENT = "SageMaker Endpoint State Change"

# What is written on a package. A versioned package cannot be tagged (it has its group's tags),
# so its customer metadata tells of its deployment.
DEPLOYMENT, ENDPOINT_CONFIG, ENDPOINT_SEEN, MODEL = "deployment", "endpoint_config", "endpoint_seen", "model"
REQUESTED, DEPLOYED, ROLLED_BACK, WAITING = "Requested", "Deployed", "RolledBack", "Waiting"

Rollout = Literal["all_at_once", "canary", "linear"]


class InputError(ValueError):
    """The event or the configuration is wrong; the message says what."""


class EndpointError(RuntimeError):
    """The endpoint is in a state that only a person can end."""


@dataclass(frozen=True)
class Promotion:
    """A wish to serve a package: by the pipeline (with the model that it made), or by a person's approval."""

    package_arn: str
    model_name: str | None = None


@dataclass(frozen=True)
class Change:
    """Something changed, so that the endpoint and the packages should be compared again."""


@dataclass(frozen=True)
class Ignored:
    """An event that asks for nothing."""

    reason: str


@dataclass(frozen=True)
class Endpoint:
    """The endpoint as SageMaker describes it."""

    name: str
    status: str
    config: str
    pending_config: str | None
    modified: str  # ISO 8601; changes with every update

    @property
    def settled(self) -> bool:
        """Whether it serves, and no rollout is under way."""
        return self.status == "InService" and self.pending_config is None


@dataclass(frozen=True)
class Package:
    """A model package of the group."""

    arn: str
    version: int
    approval: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Variant:
    """How the stage serves a model."""

    name: str
    instance_type: str
    initial_instance_count: int
    kms_key_arn: str


def request_of(event: Mapping[str, Any], *, endpoint_name: str, group: str) -> Promotion | Change | Ignored:
    """What an invocation asks for.

    A pipeline step or a person sends ``{"model_package_arn": ..., "model_name": ...}``, the second
    optional; EventBridge sends state changes of packages and endpoints. Writing metadata on a package
    is a state change too, hence only changes of the approval count.

    Raises:
        InputError: the event is of no known kind, or its package is not one of the group's.
    """
    if "model_package_arn" in event:
        name = event.get("model_name")
        if name is not None and not isinstance(name, str):
            raise InputError(f"model_name is {name!r}: write the name of a model, or leave it out")
        return Promotion(_package_arn(event["model_package_arn"], group), name or None)
    kind, detail = event.get("detail-type"), event.get("detail")
    if not isinstance(detail, Mapping):
        raise InputError("event: neither model_package_arn nor detail")
    if kind == ENDPOINT_EVENT:
        if detail.get("EndpointName") != endpoint_name:
            return Ignored(f"the endpoint is not {endpoint_name}")
        return Change()
    if kind == APPROVAL_EVENT:
        if "ModelApprovalStatus" not in detail.get("UpdatedModelPackageFields", ()):
            return Ignored("the approval did not change")
        if detail.get("ModelApprovalStatus") == "Approved":
            return Promotion(_package_arn(detail.get("ModelPackageArn"), group))
        return Change()
    raise InputError(f"event: detail-type {kind!r} is not one of {APPROVAL_EVENT!r}, {ENDPOINT_EVENT!r}")


def package_version(arn: str) -> int:
    """The version that ends a package's ARN."""
    return int(arn.rsplit("/", 1)[1])


def resource_name(endpoint_name: str, package: Package, variant: Variant) -> str:
    """The name of the endpoint config (and of a model made here) for a package: equal for equal content.

    Raises:
        InputError: the endpoint's name leaves no room for the rest.
    """
    content = json.dumps([package.arn, variant.__dict__], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:DIGEST_LENGTH]
    name = f"{endpoint_name}-v{package.version}-{digest}"
    if len(name) > MAX_NAME:
        raise InputError(
            f"endpoint name {endpoint_name!r} is too long: {name!r} exceeds {MAX_NAME} characters"
        )
    return name


def is_ours(name: str, endpoint_name: str) -> bool:
    """Whether an endpoint config's name is one that `resource_name` makes for this very endpoint."""
    return bool(re.fullmatch(rf"{re.escape(endpoint_name)}-v\d+-[0-9a-f]{{{DIGEST_LENGTH}}}", name))


def outcome(package: Package, endpoint: Endpoint) -> str | None:
    """What a package's rollout came to and its metadata don't say yet: ``Deployed``, ``RolledBack`` or None.

    SageMaker reports a rollback as InService, so that the config in use decides. An endpoint that
    was not modified since the request has not seen it yet.
    """
    deployment = package.metadata.get(DEPLOYMENT)
    if not endpoint.settled or deployment == DEPLOYED:
        return None
    if endpoint.config == package.metadata.get(ENDPOINT_CONFIG):
        return DEPLOYED
    began = endpoint.modified != package.metadata.get(ENDPOINT_SEEN)
    return ROLLED_BACK if deployment == REQUESTED and began else None


def desired_package(packages: Iterable[Package]) -> Package | None:
    """The package that the endpoint should serve, or None; ``packages`` may be in any order."""
    candidates = [
        package
        for package in packages
        if package.approval == "Approved" and package.metadata.get(DEPLOYMENT) != ROLLED_BACK
    ]
    return max(candidates, key=lambda package: package.version, default=None)


def decide(endpoint: Endpoint, config_name: str) -> str:
    """What to do to have the endpoint on a config: ``Deploy``, or nothing because it is ``AlreadyDeployed``,
    ``AlreadyDeploying``, or ``Deferred`` until another rollout ends.

    Raises:
        EndpointError: neither is possible.
    """
    if config_name == endpoint.pending_config:
        return "AlreadyDeploying"
    if endpoint.settled:
        return "AlreadyDeployed" if config_name == endpoint.config else "Deploy"
    if endpoint.status in ("Failed", "OutOfService", "UpdateRollbackFailed", "Deleting"):
        raise EndpointError(f"endpoint {endpoint.name} is {endpoint.status}: it needs a person")
    return "Deferred"


def configs_to_delete(newest_first: Sequence[str], endpoint: Endpoint, keep_last: int) -> list[str]:
    """The configs of this endpoint beyond the last ``keep_last``, never one that is in use or coming."""
    ours = [name for name in newest_first if is_ours(name, endpoint.name)]
    return [name for name in ours[keep_last:] if name not in (endpoint.config, endpoint.pending_config)]


def deployment_config(
    rollout: Rollout, step_percent: int, wait_s: int, alarm_names: Sequence[str]
) -> dict[str, Any]:
    """A blue/green ``DeploymentConfig``: how traffic moves, how long to watch, what takes it back.

    Args:
        rollout: all traffic at once, a canary first, or equal steps.
        step_percent: the canary's or a step's share of the capacity, 1 to 50.
        wait_s: how long each step is watched, and the old fleet kept afterwards.
        alarm_names: CloudWatch alarms that take the rollout back.
    """
    traffic: dict[str, Any] = {"Type": rollout.upper(), "WaitIntervalInSeconds": wait_s}
    size = {"Type": "CAPACITY_PERCENT", "Value": step_percent}
    if rollout == "canary":
        traffic["CanarySize"] = size
    if rollout == "linear":
        traffic["LinearStepSize"] = size
    config: dict[str, Any] = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": traffic,
            "TerminationWaitInSeconds": wait_s,
        }
    }
    if alarm_names:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarm_names]}
    return config


def _package_arn(value: Any, group: str) -> str:
    found = PACKAGE_ARN.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise InputError(f"model_package_arn is {value!r}: write the ARN of a package version")
    # SageMaker has written names in ARNs in lower case at times.
    if found["group"].lower() != group.lower():
        raise InputError(f"model_package_arn is of group {found['group']}, not of {group}")
    return found.group()
