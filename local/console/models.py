"""Model registry and endpoint of a stage, and the decision of a person about a package."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from local.console.source import Source
from local.errors import BadInputError

N_PACKAGES = 10
Decision = Literal["approve", "reject"]
APPROVAL_STATUS = {"approve": "Approved", "reject": "Rejected"}
MAX_DESCRIPTION = 1024  # SageMaker API, ApprovalDescription


@dataclass(frozen=True)
class PackageView:
    """One version of the model package group.

    Attributes:
        arn, version: of the package.
        run_id: of its training data; empty if it was registered by hand.
        approval: `ModelApprovalStatus`.
        deployment: outcome that deploy_model recorded; empty before its rollout.
        endpoint_config: with which it was deployed; empty before its rollout.
        created: UTC.
        warnings: warnings of its evaluation.
    """

    arn: str
    version: int
    run_id: str
    approval: str
    deployment: str
    endpoint_config: str
    created: datetime
    warnings: str

    def as_json(self, serving_config: str) -> dict[str, Any]:
        fields = asdict(self)
        fields["created"] = self.created.astimezone(UTC).isoformat(timespec="seconds")
        return {**fields, "serves": bool(serving_config) and self.endpoint_config == serving_config}


def newest_packages(source: Source) -> list[PackageView]:
    """The newest packages of the group, newest first."""
    sagemaker = source.client("sagemaker")
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=source.outputs["model_package_group"],
        SortBy="CreationTime",
        SortOrder="Descending",
        PaginationConfig={"MaxItems": N_PACKAGES},
    )
    summaries = itertools.chain.from_iterable(page["ModelPackageSummaryList"] for page in pages)
    return [_package(sagemaker, summary["ModelPackageArn"]) for summary in summaries]


def _package(sagemaker: Any, arn: str) -> PackageView:
    package = sagemaker.describe_model_package(ModelPackageName=arn)
    metadata = package.get("CustomerMetadataProperties", {})
    return PackageView(
        arn=arn,
        version=package["ModelPackageVersion"],
        run_id=metadata.get("run_id", ""),
        approval=package["ModelApprovalStatus"],
        deployment=metadata.get("deployment", ""),
        endpoint_config=metadata.get("endpoint_config", ""),
        created=package["CreationTime"],
        warnings=metadata.get("evaluation_warnings", ""),
    )


def endpoint_state(source: Source) -> dict[str, Any]:
    """Status of the endpoint, its config, and the fleets of a rollout in progress."""
    name = source.outputs["endpoint_name"]
    endpoint = source.client("sagemaker").describe_endpoint(EndpointName=name)
    pending = endpoint.get("PendingDeploymentSummary")
    return {
        "name": name,
        "status": endpoint["EndpointStatus"],
        "config": endpoint.get("EndpointConfigName", ""),
        "reason": endpoint.get("FailureReason", ""),
        "variants": [_variant(each) for each in endpoint.get("ProductionVariants", [])],
        "pending": None
        if pending is None
        else {
            "config": pending["EndpointConfigName"],
            "variants": [_variant(each) for each in pending.get("ProductionVariants", [])],
        },
    }


def _variant(variant: dict[str, Any]) -> dict[str, Any]:
    statuses = [each.get("Status", "") for each in variant.get("VariantStatus", [])]
    return {
        "name": variant["VariantName"],
        "instances": variant.get("CurrentInstanceCount"),
        "desired": variant.get("DesiredInstanceCount"),
        "status": ", ".join(statuses),
    }


def decide(source: Source, arn: str, decision: Decision) -> None:
    """Approve or reject a package; the approval's event starts the rollout.

    Raises:
        BadInputError: the source is read-only, or the package is not in the stage's group.
    """
    if source.is_read_only:
        raise BadInputError("this console is read-only: approve the package in SageMaker or with its CLI")
    group = source.outputs["model_package_group"]
    if f":model-package/{group.lower()}/" not in arn.lower():
        raise BadInputError(f"{arn}: not a package of {group}")
    source.client("sagemaker").update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus=APPROVAL_STATUS[decision],
        ApprovalDescription=f"{decision} in the console"[:MAX_DESCRIPTION],
    )
