"""Quotas that a stage needs, from its configuration, and the account's values.

New accounts start with lower values than the documented defaults: Lambda with 10 concurrent executions,
SageMaker with 0 instances of many types, EC2 with 5 vCPUs (Service Quotas shows the applied values).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from ci.preflight.finding import Finding, error_code, findings_of, found
from ci.preflight.stage import StageInAccount

MIN_UNRESERVED = 100  # Lambda developer guide, reserved concurrency: it stays for functions without one
OTHER_FUNCTIONS = 4  # render_buildspec, report_rejection, deploy_model and check_runs, one at a time each
BUILD_SIZES = {
    "SMALL": "Small",
    "MEDIUM": "Medium",
    "LARGE": "Large",
    "XLARGE": "XLarge",
    "2XLARGE": "2XLarge",
}


@dataclass(frozen=True, kw_only=True)
class Need:
    """A quota that a stage needs.

    Attributes:
        service: service code in Service Quotas.
        name: name of the quota there.
        needed: smallest value with which the stage works.
        reason: fields of the stage file that need it.
        code: quota code, if it does not depend on an instance type.
    """

    service: str
    name: str
    needed: int
    reason: str
    code: str | None = None


def needs(stage: StageInAccount, other_vpcs: int) -> list[Need]:
    """Quotas of a stage; `other_vpcs` is the number of VPCs of others in the region."""
    return [
        *_function_needs(stage),
        *_cluster_needs(stage),
        *_sagemaker_needs(stage),
        *_build_needs(stage),
        Need(
            service="vpc",
            name="VPCs per Region",
            code="L-F678F1CE",
            needed=other_vpcs + 1,
            reason=f"{other_vpcs} VPCs of others and the network of the stage",
        ),
    ]


def _function_needs(stage: StageInAccount) -> Iterator[Need]:
    config = stage.config
    reserved = config.functions.recommend_concurrency
    if reserved:
        needed = reserved + MIN_UNRESERVED
        reason = f"functions.recommend_concurrency and {MIN_UNRESERVED} that stay unreserved"
    else:
        # Little's law: requests per second times seconds per request.
        busy = config.api.rate_per_second * config.serving.max_latency_ms / 1000
        needed = math.ceil(busy) + OTHER_FUNCTIONS
        reason = "api.rate_per_second times serving.max_latency_ms, and the other functions"
    yield Need(
        service="lambda", name="Concurrent executions", code="L-B99A9384", needed=needed, reason=reason
    )


def _cluster_needs(stage: StageInAccount) -> Iterator[Need]:
    cluster = stage.config.spark.cluster
    scaling = cluster.scaling
    primary = max(node.vcpus for node in cluster.primary.nodes)
    yield Need(
        service="ec2",
        name="Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        code="L-1216C47A",
        needed=primary + scaling.max_on_demand_units,
        reason="vCPUs: the primary node and spark.cluster.scaling.max_on_demand_units",
    )
    if cluster.task.units:
        yield Need(
            service="ec2",
            name="All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
            code="L-34B43A08",
            needed=scaling.max_units - cluster.core.units,
            reason="vCPUs: spark.cluster.scaling.max_units without the core nodes",
        )


def _sagemaker_needs(stage: StageInAccount) -> Iterator[Need]:
    training, serving = stage.config.training, stage.config.serving
    batch = stage.config.batch_recommendations
    kind = "spot training job" if training.use_spot else "training job"
    for instance_type, usage, needed, reason in (
        (training.instance_type, kind, 1, "training.instance_type, use_spot"),
        (training.evaluation_instance_type, "processing job", 1, "training.evaluation_instance_type"),
        *(
            [(batch.instance_type, "processing job", 1, "batch_recommendations.instance_type")]
            if batch.enabled
            else []
        ),
        (
            serving.instance_type,
            "endpoint",
            2 * serving.max_instances,
            "twice serving.max_instances: a blue/green rollout runs both fleets",
        ),
    ):
        yield Need(
            service="sagemaker", name=f"{instance_type} for {usage} usage", needed=needed, reason=reason
        )


def _build_needs(stage: StageInAccount) -> Iterator[Need]:
    build = stage.config.training.build
    platform = "ARM" if "aarch64" in build.image else "Linux"
    size = BUILD_SIZES[build.compute_type.removeprefix("BUILD_GENERAL1_")]
    yield Need(
        service="codebuild",
        name=f"Concurrently running builds for {platform}/{size} environment",
        needed=1,
        reason="training.build.compute_type",
    )


def check_quotas(stage: StageInAccount) -> Iterator[Finding]:
    """Compare each needed quota with the account's value."""
    own = set(stage.config.tags.model_dump().items())
    vpcs = stage.pages("ec2", "describe_vpcs", "Vpcs")
    other_vpcs = sum(not own <= {(tag["Key"], tag["Value"]) for tag in vpc.get("Tags", ())} for vpc in vpcs)
    listed: dict[str, Mapping[str, float]] = {}
    for need in needs(stage, other_vpcs):
        yield from findings_of(f"quota: {need.name}", partial(_compare, stage, need, listed))


def _compare(stage: StageInAccount, need: Need, listed: dict[str, Mapping[str, float]]) -> list[Finding]:
    value = _by_code(stage, need) if need.code else _by_name(stage, need, listed)
    subject = f"quota: {need.name}"
    request = f"request {need.needed} in Service Quotas ({need.service}, {stage.config.region})"
    result = found(
        subject,
        value is not None and value >= need.needed,
        needed=f"{need.needed} ({need.reason})",
        present="no such quota" if value is None else f"{value:g}",
        action=f"{request}; it takes hours to days" if value is not None else f"find the quota and {request}",
    )
    return [result]


def _by_code(stage: StageInAccount, need: Need) -> float:
    """Applied value of a quota, or the default if none is applied."""
    quotas, key = stage.client("service-quotas"), {"ServiceCode": need.service, "QuotaCode": need.code}
    try:
        return float(quotas.get_service_quota(**key)["Quota"]["Value"])
    except ClientError as error:
        if error_code(error) != "NoSuchResourceException":
            raise
        return float(quotas.get_aws_default_service_quota(**key)["Quota"]["Value"])


def _by_name(stage: StageInAccount, need: Need, listed: dict[str, Mapping[str, float]]) -> float | None:
    """Value of a quota of the service's list; the list is read once per service."""
    if need.service not in listed:
        values: dict[str, float] = {}
        # Applied values replace defaults: an account has applied values of some quotas only.
        for operation in ("list_aws_default_service_quotas", "list_service_quotas"):
            quotas = stage.pages("service-quotas", operation, "Quotas", ServiceCode=need.service)
            values |= {quota["QuotaName"].lower(): quota["Value"] for quota in quotas if _has_value(quota)}
        listed[need.service] = values
    return listed[need.service].get(need.name.lower())


def _has_value(quota: Mapping[str, Any]) -> bool:
    return "Value" in quota and "QuotaName" in quota
