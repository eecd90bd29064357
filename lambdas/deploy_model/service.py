"""SageMaker calls of `deploy_model`: packages, the endpoint, endpoint configs and models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError
from logic import EndpointState, Package, Variant, package_version

N_PACKAGES = 10  # packages to compare: a rollout takes minutes and there is one run per day
STARTUP_TIMEOUT_S = 300


class SageMaker:
    """Idempotent operations over a SageMaker client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def endpoint(self, name: str) -> EndpointState:
        """State of the endpoint with this exact name."""
        found = self._client.describe_endpoint(EndpointName=name)
        pending = found.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
        return EndpointState(
            name=name,
            status=found["EndpointStatus"],
            config=found["EndpointConfigName"],
            pending_config=pending,
            modified=found["LastModifiedTime"].isoformat(),
            failure_reason=found.get("FailureReason", ""),
        )

    def package(self, arn: str) -> Package:
        """A package with its approval status and metadata."""
        found = self._client.describe_model_package(ModelPackageName=arn)
        return Package(
            arn=found["ModelPackageArn"],
            version=package_version(found["ModelPackageArn"]),
            approval=found["ModelApprovalStatus"],
            metadata=found.get("CustomerMetadataProperties") or {},
            report_uri=_report_uri(found),
            model_data_url=_model_data_url(found),
        )

    def packages(self, group: str, approval: str) -> list[Package]:
        """The newest packages of the group with an approval status, newest first, at most ``N_PACKAGES``."""
        found = self._client.list_model_packages(
            ModelPackageGroupName=group,
            ModelApprovalStatus=approval,
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=N_PACKAGES,
        )
        return [self.package(each["ModelPackageArn"]) for each in found["ModelPackageSummaryList"]]

    def annotate(self, package: Package, **metadata: str) -> Package:
        """Merge entries into the customer metadata of a package; returns the updated package."""
        merged = {**package.metadata, **metadata}
        self._client.update_model_package(ModelPackageArn=package.arn, CustomerMetadataProperties=merged)
        return replace(package, metadata=merged)

    def ensure_model(self, name: str | None, fallback: str, package: Package, role_arn: str) -> str:
        """Name of a model of the package: ``name`` if it exists, else ``fallback``, created if necessary."""
        if name is not None and self._exists("describe_model", ModelName=name):
            return name
        if not self._exists("describe_model", ModelName=fallback):
            self._client.create_model(
                ModelName=fallback,
                Containers=[{"ModelPackageName": package.arn}],
                ExecutionRoleArn=role_arn,
                EnableNetworkIsolation=True,
            )
        return fallback

    def ensure_config(self, name: str, model_name: str, variant: Variant) -> None:
        """Create the endpoint config unless it exists; equal names have equal content."""
        if self._exists("describe_endpoint_config", EndpointConfigName=name):
            return
        self._client.create_endpoint_config(
            EndpointConfigName=name,
            KmsKeyId=variant.kms_key_arn,
            ProductionVariants=[
                {
                    "VariantName": variant.name,
                    "ModelName": model_name,
                    "InstanceType": variant.instance_type,
                    "InitialInstanceCount": variant.initial_instance_count,
                    "InitialVariantWeight": 1.0,
                    "ContainerStartupHealthCheckTimeoutInSeconds": STARTUP_TIMEOUT_S,
                }
            ],
        )

    def update_endpoint(self, name: str, config_name: str, deployment: Mapping[str, Any]) -> None:
        """Start a rollout that keeps the instance count set by autoscaling."""
        self._client.update_endpoint(
            EndpointName=name,
            EndpointConfigName=config_name,
            RetainAllVariantProperties=True,
            DeploymentConfig=deployment,
        )

    def start_job(self, request: Mapping[str, Any]) -> None:
        """Start a processing job unless a job of its name exists."""
        try:
            self._client.create_processing_job(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceInUse":
                raise

    def config_names(self, name_contains: str) -> list[str]:
        """Names of endpoint configs that contain a text, newest first, including those of other endpoints."""
        pages = self._client.get_paginator("list_endpoint_configs").paginate(
            NameContains=name_contains, SortBy="CreationTime", SortOrder="Descending"
        )
        return [config["EndpointConfigName"] for page in pages for config in page["EndpointConfigs"]]

    def model_names(self, config_name: str) -> set[str]:
        """Names of the models of an endpoint config."""
        config = self._client.describe_endpoint_config(EndpointConfigName=config_name)
        return {variant["ModelName"] for variant in config["ProductionVariants"]}

    def delete_config(self, name: str) -> None:
        """Delete an endpoint config if it exists."""
        if self._exists("describe_endpoint_config", EndpointConfigName=name):
            self._client.delete_endpoint_config(EndpointConfigName=name)

    def delete_model(self, name: str) -> None:
        """Delete a model if it exists."""
        if self._exists("describe_model", ModelName=name):
            self._client.delete_model(ModelName=name)

    def _exists(self, operation: str, **name: str) -> bool:
        try:
            getattr(self._client, operation)(**name)
        except ClientError as error:
            # SageMaker has no separate error code for missing resources.
            if "could not find" not in str(error).lower():
                raise
            return False
        return True


def _report_uri(package: Mapping[str, Any]) -> str | None:
    quality = package.get("ModelMetrics", {}).get("ModelQuality", {})
    return quality.get("Statistics", {}).get("S3Uri")


def _model_data_url(package: Mapping[str, Any]) -> str | None:
    containers = package.get("InferenceSpecification", {}).get("Containers") or [{}]
    return containers[0].get("ModelDataUrl")
