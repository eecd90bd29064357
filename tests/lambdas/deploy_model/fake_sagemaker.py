"""Stateful fake of the SageMaker operations that `deploy_model` calls.

moto has no UpdateEndpoint. A rollout of the fake lasts until the test calls `finish` or `roll_back`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

REPORT_FOLDER = "s3://artifacts/models/20261123T020000Z/evaluation"
GROUP_ARN = "arn:aws:sagemaker:ap-northeast-2:123456789012:model-package/NCF-prod"
BOOTSTRAP_CONFIG = "endpoint-config-5f0c1e2"
BOOTSTRAP_MODEL = "endpoint-model-91ab33c"


def validation_error(operation: str, message: str) -> ClientError:
    """The error code that SageMaker returns for most refused requests."""
    return ClientError({"Error": {"Code": "ValidationException", "Message": message}}, operation)


class FakeSageMaker:
    """One endpoint with the bootstrap model, and a group of packages."""

    def __init__(self, endpoint_name: str) -> None:
        self.clock = datetime(2026, 11, 23, 3, tzinfo=UTC)
        self.endpoint: dict[str, Any] = {
            "EndpointName": endpoint_name,
            "EndpointStatus": "InService",
            "EndpointConfigName": BOOTSTRAP_CONFIG,
            "LastModifiedTime": self.clock,
        }
        self.models: dict[str, dict[str, Any]] = {BOOTSTRAP_MODEL: {}}
        self.configs: dict[str, dict[str, Any]] = {}
        self.packages: dict[str, dict[str, Any]] = {}
        self.updates: list[dict[str, Any]] = []
        self.processing_jobs: list[dict[str, Any]] = []
        self.job_error: str | None = None  # code of the error of CreateProcessingJob
        self.update_error: ClientError | None = None  # raised by UpdateEndpoint
        self.concurrent_config: str | None = None  # another caller deploys it before UpdateEndpoint
        self.create_endpoint_config(
            EndpointConfigName=BOOTSTRAP_CONFIG, ProductionVariants=[{"ModelName": BOOTSTRAP_MODEL}]
        )

    # -- called by the test ---------------------------------------------------------------------

    def register(self, approval: str = "Approved", **metadata: str) -> str:
        """Add a version to the group; returns its ARN."""
        arn = f"{GROUP_ARN}/{len(self.packages) + 1}"
        self.packages[arn] = {
            "ModelPackageArn": arn,
            "ModelApprovalStatus": approval,
            "CustomerMetadataProperties": {
                "run_id": "20261123T020000Z",
                "source_uri": "s3://artifacts/models/20261123T020000Z/source/v1",
                **metadata,
            },
            "InferenceSpecification": {
                "Containers": [{"ModelDataUrl": "s3://artifacts/models/20261123T020000Z/output/model.tar.gz"}]
            },
            "ModelMetrics": {"ModelQuality": {"Statistics": {"S3Uri": f"{REPORT_FOLDER}/evaluation.json"}}},
        }
        return arn

    def metadata(self, arn: str) -> dict[str, str]:
        return self.packages[arn]["CustomerMetadataProperties"]

    def finish(self) -> None:
        """Complete the current rollout."""
        self.endpoint["EndpointConfigName"] = self.endpoint["PendingDeploymentSummary"]["EndpointConfigName"]
        self.roll_back()

    def roll_back(self, reason: str | None = None) -> None:
        """Roll back the current rollout, which SageMaker also reports as InService."""
        del self.endpoint["PendingDeploymentSummary"]
        if reason is not None:
            self.endpoint["FailureReason"] = reason
        self._modify_endpoint("InService")

    # -- called by the function -----------------------------------------------------------------

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:  # noqa: N803 (names of the API)
        if EndpointName != self.endpoint["EndpointName"]:
            raise validation_error("DescribeEndpoint", f'Could not find endpoint "{EndpointName}".')
        return dict(self.endpoint)

    def update_endpoint(self, **request: Any) -> None:
        if self.endpoint["EndpointStatus"] != "InService":
            raise validation_error("UpdateEndpoint", "Cannot update in-progress endpoint.")
        if request["EndpointConfigName"] not in self.configs:
            raise validation_error("UpdateEndpoint", "Could not find endpoint configuration.")
        if self.update_error is not None:
            raise self.update_error
        if self.concurrent_config is not None:
            self._start_rollout(self.concurrent_config)
            raise validation_error("UpdateEndpoint", "Cannot update in-progress endpoint.")
        self.updates.append(request)
        self._start_rollout(request["EndpointConfigName"])

    def describe_model_package(self, *, ModelPackageName: str) -> dict[str, Any]:  # noqa: N803
        return {**self.packages[ModelPackageName]}

    def list_model_packages(self, **request: Any) -> dict[str, Any]:
        assert request["SortBy"] == "CreationTime"
        assert request["SortOrder"] == "Descending"
        found = [
            {"ModelPackageArn": arn}
            for arn, package in reversed(self.packages.items())
            if package["ModelApprovalStatus"] == request["ModelApprovalStatus"]
        ]
        return {"ModelPackageSummaryList": found[: request["MaxResults"]]}

    def update_model_package(self, *, ModelPackageArn: str, **changes: Any) -> None:  # noqa: N803
        self.packages[ModelPackageArn].update(changes)

    def create_processing_job(self, **request: Any) -> None:
        code = self.job_error
        if any(job["ProcessingJobName"] == request["ProcessingJobName"] for job in self.processing_jobs):
            code = "ResourceInUse"
        if code is not None:
            raise ClientError({"Error": {"Code": code, "Message": code}}, "CreateProcessingJob")
        self.processing_jobs.append(request)

    def create_model(self, **request: Any) -> None:
        self.models[request["ModelName"]] = request

    def describe_model(self, *, ModelName: str) -> dict[str, Any]:  # noqa: N803
        return self._find("DescribeModel", self.models, ModelName, "model")

    def delete_model(self, *, ModelName: str) -> None:  # noqa: N803
        del self.models[ModelName]

    def create_endpoint_config(self, **request: Any) -> None:
        for variant in request["ProductionVariants"]:
            self.describe_model(ModelName=variant["ModelName"])
        self.configs[request["EndpointConfigName"]] = request

    def describe_endpoint_config(self, *, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803
        return self._find(
            "DescribeEndpointConfig", self.configs, EndpointConfigName, "endpoint configuration"
        )

    def delete_endpoint_config(self, *, EndpointConfigName: str) -> None:  # noqa: N803
        del self.configs[EndpointConfigName]

    def get_paginator(self, operation: str) -> _ConfigPages:
        assert operation == "list_endpoint_configs"
        return _ConfigPages(self.configs)

    def _find(self, operation: str, resources: dict[str, Any], name: str, kind: str) -> dict[str, Any]:
        if name not in resources:
            raise validation_error(operation, f'Could not find {kind} "{name}".')
        return resources[name]

    def _start_rollout(self, config_name: str) -> None:
        self.endpoint["PendingDeploymentSummary"] = {"EndpointConfigName": config_name}
        self._modify_endpoint("Updating")

    def _modify_endpoint(self, status: str) -> None:
        self.clock += timedelta(minutes=5)
        self.endpoint |= {"EndpointStatus": status, "LastModifiedTime": self.clock}


class _ConfigPages:
    """Paginator of endpoint configs by ``NameContains``, newest first, two per page."""

    def __init__(self, configs: dict[str, Any]) -> None:
        self._configs = configs

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        assert (request["SortBy"], request["SortOrder"]) == ("CreationTime", "Descending")
        names = [name for name in reversed(self._configs) if request["NameContains"] in name]
        for start in range(0, len(names), 2):
            yield {"EndpointConfigs": [{"EndpointConfigName": name} for name in names[start : start + 2]]}
