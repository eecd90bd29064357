"""What this function asks of SageMaker: packages and their metadata, the endpoint, configs and models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from logic import Endpoint, Package, Variant, package_version

N_PACKAGES = 10  # how far back a package can matter: a rollout takes minutes, a run a day
STARTUP_TIMEOUT_S = 300


class SageMaker:
    """A thin layer over the client: every create may be repeated, every delete may find nothing."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint, by its exact name."""
        found = self._client.describe_endpoint(EndpointName=name)
        pending = found.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
        return Endpoint(
            name=name,
            status=found["EndpointStatus"],
            config=found["EndpointConfigName"],
            pending_config=pending,
            modified=found["LastModifiedTime"].isoformat(),
        )

    def package(self, arn: str) -> Package:
        """A package with its approval and metadata."""
        found = self._client.describe_model_package(ModelPackageName=arn)
        return Package(
            arn=found["ModelPackageArn"],
            version=package_version(found["ModelPackageArn"]),
            approval=found["ModelApprovalStatus"],
            metadata=found.get("CustomerMetadataProperties") or {},
        )

    def approved_packages(self, group: str) -> list[Package]:
        """The group's newest approved packages, newest first."""
        found = self._client.list_model_packages(
            ModelPackageGroupName=group,
            ModelApprovalStatus="Approved",
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=N_PACKAGES,
        )
        return [self.package(each["ModelPackageArn"]) for each in found["ModelPackageSummaryList"]]

    def annotate(self, package: Package, **metadata: str) -> Package:
        """Write metadata on a package, keep what else it has, and return the package with it."""
        merged = {**package.metadata, **metadata}
        self._client.update_model_package(ModelPackageArn=package.arn, CustomerMetadataProperties=merged)
        return Package(package.arn, package.version, package.approval, merged)

    def ensure_model(self, name: str | None, fallback: str, package: Package, role_arn: str) -> str:
        """A model of the package: ``name`` if it exists, else ``fallback``, made from the package."""
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
        """Make the endpoint config unless it is there; a name stands for its content."""
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
        """Begin a rollout; the number of instances stays what autoscaling made it."""
        self._client.update_endpoint(
            EndpointName=name,
            EndpointConfigName=config_name,
            RetainAllVariantProperties=True,
            DeploymentConfig=deployment,
        )

    def config_names(self, name_contains: str) -> list[str]:
        """Names of endpoint configs, newest first, ours among others: the caller checks names exactly."""
        pages = self._client.get_paginator("list_endpoint_configs").paginate(
            NameContains=name_contains, SortBy="CreationTime", SortOrder="Descending"
        )
        return [config["EndpointConfigName"] for page in pages for config in page["EndpointConfigs"]]

    def model_names(self, config_name: str) -> set[str]:
        """The models that an endpoint config serves."""
        config = self._client.describe_endpoint_config(EndpointConfigName=config_name)
        return {variant["ModelName"] for variant in config["ProductionVariants"]}

    def delete_config(self, name: str) -> None:
        """Delete an endpoint config, if it is still there."""
        if self._exists("describe_endpoint_config", EndpointConfigName=name):
            self._client.delete_endpoint_config(EndpointConfigName=name)

    def delete_model(self, name: str) -> None:
        """Delete a model, if it is still there."""
        if self._exists("describe_model", ModelName=name):
            self._client.delete_model(ModelName=name)

    def _exists(self, operation: str, **name: str) -> bool:
        try:
            getattr(self._client, operation)(**name)
        except ClientError as error:
            # SageMaker has no code of its own for what does not exist.
            if "could not find" not in str(error).lower():
                raise
            return False
        return True
