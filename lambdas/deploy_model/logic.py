"""Decisions of `deploy_model`, without AWS calls.

Rule: the endpoint serves the newest approved package of the group that was not rolled back.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from alarms import Fleet

MAX_NAME = 63  # SageMaker API, EndpointConfigName and ModelName
DIGEST_LENGTH = 8
MAX_ROLLOUT_S = 28_800  # SageMaker API, MaximumExecutionTimeoutInSeconds
SETUP_S = 1_800  # of a rollout: instances, images and models
PACKAGE_ARN = re.compile(
    r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:model-package/(?P<group>[^/]+)/(?P<version>\d+)"
)
APPROVAL_EVENT = "SageMaker Model Package State Change"
ENDPOINT_EVENT = "SageMaker Endpoint State Change"
JOB_EVENT = "SageMaker Processing Job State Change"

# Keys and values of the customer metadata. A versioned package cannot be tagged: it has the tags of its
# group.
DEPLOYMENT, ENDPOINT_CONFIG, ENDPOINT_SEEN, MODEL = "deployment", "endpoint_config", "endpoint_seen", "model"
WARNINGS, GATE = "evaluation_warnings", "evaluation_gate"
RUN_ID = "run_id"
BOOTSTRAP_VERSION = "bootstrap"  # of the model that the endpoint serves before the first package
BATCH_JOB = "batch_job"  # newest job of the batch recommendations
REQUESTED, DEPLOYED, ROLLED_BACK, WAITING = "Requested", "Deployed", "RolledBack", "Waiting"

Rollout = Literal["all_at_once", "canary", "linear"]


class EventError(ValueError):
    """The event or the configuration is invalid; the message names the field."""


class EndpointError(RuntimeError):
    """The endpoint is in a state that requires an operator."""


@dataclass(frozen=True)
class Promotion:
    """Request to promote a model package: from the pipeline, with its model, or from an approval."""

    package_arn: str
    model_name: str | None = None


@dataclass(frozen=True)
class Change:
    """State change after which the endpoint and the packages have to be compared."""


@dataclass(frozen=True)
class BatchRestart:
    """Request to start a batch job again: the event of its failure, or an operator."""

    job_name: Any
    by_operator: bool


@dataclass(frozen=True)
class Ignored:
    """Event that requires no action."""

    reason: str


@dataclass(frozen=True)
class EndpointState:
    """State of the endpoint, from DescribeEndpoint."""

    name: str
    status: str
    config: str
    pending_config: str | None
    modified: str  # ISO 8601; changes with every update
    failure_reason: str = ""

    @property
    def settled(self) -> bool:
        """Whether the endpoint is in service and has no rollout in progress."""
        return self.status == "InService" and self.pending_config is None


@dataclass(frozen=True)
class Package:
    """Version of a model package group."""

    arn: str
    version: int
    approval: str
    metadata: Mapping[str, str]
    report_uri: str | None = None  # S3 URI of its evaluation
    model_data_url: str | None = None  # S3 URI of its artifact


@dataclass(frozen=True)
class Variant:
    """Production variant of the stage."""

    name: str
    instance_type: str
    initial_instance_count: int
    kms_key_arn: str


def request_of(
    event: Mapping[str, Any], *, endpoint_name: str, group: str
) -> Promotion | Change | BatchRestart | Ignored:
    """Parse the payload of an invocation.

    A pipeline step or an operator sends ``{"model_package_arn": ..., "model_name": ...}``, the second field
    optional, and an operator ``{"batch_job": ...}``. EventBridge sends failures of batch jobs, and state
    changes of packages and endpoints. Updates of package metadata are state changes too, so package events
    without a change of the approval are ignored.

    Raises:
        EventError: the event has an unknown type, or its package is not in the group.
    """
    if "model_package_arn" in event:
        name = event.get("model_name")
        if name is not None and not isinstance(name, str):
            raise EventError(f"model_name is {name!r}: expected the name of a model, or no such field")
        return Promotion(_package_arn(event["model_package_arn"], group), name or None)
    if "batch_job" in event:
        return BatchRestart(event["batch_job"], by_operator=True)
    kind, detail = event.get("detail-type"), event.get("detail")
    if not isinstance(detail, Mapping):
        raise EventError("event: neither model_package_arn nor detail")
    if kind == ENDPOINT_EVENT:
        is_own = detail.get("EndpointName") == endpoint_name
        return Change() if is_own else Ignored(f"the endpoint is not {endpoint_name}")
    if kind == JOB_EVENT:
        has_failed = detail.get("ProcessingJobStatus") == "Failed"
        job_name = detail.get("ProcessingJobName")
        return BatchRestart(job_name, by_operator=False) if has_failed else Ignored("the job did not fail")
    if kind == APPROVAL_EVENT:
        return _review(detail, group)
    raise EventError(
        f"event: detail-type {kind!r} is not one of {APPROVAL_EVENT!r}, {ENDPOINT_EVENT!r}, {JOB_EVENT!r}"
    )


def _review(detail: Mapping[str, Any], group: str) -> Promotion | Change | Ignored:
    """The request of a package's state change."""
    if "ModelApprovalStatus" not in detail.get("UpdatedModelPackageFields", ()):
        return Ignored("the approval did not change")
    if detail.get("ModelApprovalStatus") == "Approved":
        return Promotion(_package_arn(detail.get("ModelPackageArn"), group))
    return Change()


def package_version(arn: str) -> int:
    """The version number at the end of a package ARN."""
    return int(arn.rsplit("/", 1)[1])


def resource_name(endpoint_name: str, package: Package, variant: Variant) -> str:
    """Name of the endpoint config of a package, and of a model created here; equal for equal content.

    Raises:
        EventError: the endpoint name is too long for the suffix.
    """
    content = json.dumps([package.arn, variant.__dict__], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:DIGEST_LENGTH]
    name = f"{endpoint_name}-v{package.version}-{digest}"
    if len(name) > MAX_NAME:
        raise EventError(
            f"endpoint name {endpoint_name!r} is too long: {name!r} exceeds {MAX_NAME} characters"
        )
    return name


def is_managed_config(name: str, endpoint_name: str) -> bool:
    """Whether `resource_name` generated this endpoint config name, for this endpoint."""
    return bool(re.fullmatch(rf"{re.escape(endpoint_name)}-v\d+-[0-9a-f]{{{DIGEST_LENGTH}}}", name))


def outcome(package: Package, endpoint: EndpointState) -> str | None:
    """Result of a package's rollout that is not in its metadata yet: ``Deployed``, ``RolledBack`` or None.

    SageMaker reports a rollback as InService, so the active endpoint config decides. If the endpoint was not
    modified since the request, the rollout has not started.
    """
    deployment = package.metadata.get(DEPLOYMENT)
    if not endpoint.settled or deployment == DEPLOYED:
        return None
    if endpoint.config == package.metadata.get(ENDPOINT_CONFIG):
        return DEPLOYED
    has_started = endpoint.modified != package.metadata.get(ENDPOINT_SEEN)
    return ROLLED_BACK if deployment == REQUESTED and has_started else None


def is_adoptable(package: Package) -> bool:
    """Whether a package is approved and was not rolled back."""
    return package.approval == "Approved" and package.metadata.get(DEPLOYMENT) != ROLLED_BACK


def desired_package(packages: Iterable[Package]) -> Package | None:
    """The newest approved package that was not rolled back, or None; ``packages`` may be in any order."""
    return max(filter(is_adoptable, packages), key=lambda package: package.version, default=None)


def withdrawn_package(rejected: Iterable[Package], endpoint: EndpointState) -> Package | None:
    """The package that is being rolled out, if it is one of the rejected ones."""
    if endpoint.status != "Updating" or endpoint.pending_config is None:
        return None
    found = (each for each in rejected if each.metadata.get(ENDPOINT_CONFIG) == endpoint.pending_config)
    return next(found, None)


def fleet_of(config_name: str, packages: Iterable[Package]) -> Fleet:
    """What the metrics of an endpoint config are found by; the model version of a package is its run id."""
    versions = (
        package.metadata.get(RUN_ID)
        for package in packages
        if package.metadata.get(ENDPOINT_CONFIG) == config_name
    )
    return Fleet(config_name, next(versions, None) or BOOTSTRAP_VERSION)


def is_return(package: Package, config_name: str) -> bool:
    """Whether a rollout returns to an endpoint config that was deployed before."""
    metadata = package.metadata
    return metadata.get(DEPLOYMENT) == DEPLOYED and metadata.get(ENDPOINT_CONFIG) == config_name


def decide(endpoint: EndpointState, config_name: str) -> str:
    """The action that moves the endpoint to an endpoint config.

    Returns:
        ``Deploy``, or the reason for doing nothing: ``AlreadyDeployed``, ``AlreadyDeploying``, or
        ``Deferred`` until another rollout ends.

    Raises:
        EndpointError: the endpoint is in a state that requires an operator.
    """
    if config_name == endpoint.pending_config:
        return "AlreadyDeploying"
    if endpoint.settled:
        return "AlreadyDeployed" if config_name == endpoint.config else "Deploy"
    if endpoint.status in ("Failed", "OutOfService", "UpdateRollbackFailed", "Deleting"):
        raise EndpointError(
            f"endpoint {endpoint.name} is {endpoint.status}: an operator must repair or delete it"
        )
    return "Deferred"


def configs_to_delete(
    newest_first: Sequence[str], endpoint: EndpointState, packages: Iterable[Package], keep_last: int
) -> list[str]:
    """The endpoint configs beyond the newest ``keep_last`` that are not served, nor about to be.

    About to be: the pending one, that of the desired package, and that of the package which would replace it
    after a rejection.
    """
    adoptable = sorted(filter(is_adoptable, packages), key=lambda package: -package.version)[:2]
    kept = {endpoint.config, endpoint.pending_config}
    kept |= {package.metadata.get(ENDPOINT_CONFIG) for package in adoptable}
    managed = [name for name in newest_first if is_managed_config(name, endpoint.name)]
    return [name for name in managed[keep_last:] if name not in kept]


def deployment_config(
    rollout: Rollout, step_percent: int, wait_s: int, alarm_names: Sequence[str]
) -> dict[str, Any]:
    """``DeploymentConfig`` of UpdateEndpoint for a blue/green deployment with automatic rollback.

    Args:
        rollout: traffic shifting mode.
        step_percent: percentage of the capacity in the canary or in each linear step, 1 to 50.
        wait_s: seconds to monitor each step, and to keep the old fleet after the last step.
        alarm_names: CloudWatch alarms that roll back the rollout.
    """
    traffic: dict[str, Any] = {"Type": rollout.upper(), "WaitIntervalInSeconds": wait_s}
    size = {"Type": "CAPACITY_PERCENT", "Value": step_percent}
    if rollout == "canary":
        traffic["CanarySize"] = size
    if rollout == "linear":
        traffic["LinearStepSize"] = size
    n_waits = {"all_at_once": 1, "canary": 2, "linear": math.ceil(100 / step_percent)}[rollout]
    config: dict[str, Any] = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": traffic,
            "TerminationWaitInSeconds": wait_s,
            "MaximumExecutionTimeoutInSeconds": min(MAX_ROLLOUT_S, n_waits * wait_s + SETUP_S),
        }
    }
    if alarm_names:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarm_names]}
    return config


def _package_arn(value: Any, group: str) -> str:
    found = PACKAGE_ARN.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise EventError(f"model_package_arn is {value!r}: expected the ARN of a package version")
    # SageMaker writes group names in some ARNs in lower case.
    if found["group"].lower() != group.lower():
        raise EventError(f"model_package_arn is of group {found['group']}, not of {group}")
    return found.group()
