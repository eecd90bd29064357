"""Champion: the current model package of the model package group, and its artifact.

The current package is the newest approved one that was not rolled back. `lambdas/deploy_model` applies the
same rule to decide what the endpoint serves; `tests/test_current_package.py` runs both implementations over
one table. There are two because a Lambda function is deployed without the rest of this repository.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ml.contract import MODEL_ARCHIVE
from ml.ncf.evaluation.comparison import CANDIDATE
from ml.ncf.model import artifact
from ml.settings.metrics import GATED_METRICS

# Bounded timeouts and retries: 5 s to connect, 60 s between bytes, six attempts with up to 20 s between them.
# A registry that still fails weakens the gate: the champion counts as absent.
CLIENT_CONFIG = Config(
    connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 6}
)
ROLLED_BACK = "RolledBack"  # deploy_model writes it to the package metadata "deployment"


class ChampionError(RuntimeError):
    """The registry or the champion's artifact cannot be read."""


@dataclass(frozen=True, eq=False)
class Champion:
    """The current package and its model.

    Attributes:
        gate_metrics: the model's metrics when it passed the gate; empty if its report cannot be read.
    """

    model_package_arn: str
    artifact: artifact.Artifact
    gate_metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelPackage:
    """A model package of the group."""

    arn: str
    approval: str
    metadata: Mapping[str, str]
    model_data_url: str = ""
    report_uri: str = ""  # of its evaluation; empty for a package without one

    @property
    def version(self) -> int:
        return version_of(self.arn)


def version_of(arn: str) -> int:
    """Version of a model package: the last element of its ARN."""
    return int(arn.rsplit("/", 1)[1])


def current_package(newest_first: Iterable[ModelPackage]) -> ModelPackage | None:
    """The newest approved package that was not rolled back; None if there is none.

    Args:
        newest_first: packages by descending version; consumed only as far as necessary.
    """
    return next(
        (
            package
            for package in newest_first
            if package.approval == "Approved" and package.metadata.get("deployment") != ROLLED_BACK
        ),
        None,
    )


def find(model_package_group: str, workspace: Path) -> Champion | None:
    """The champion, with its artifact downloaded below `workspace`; None if there is no current package.

    Raises:
        ChampionError: a call fails.
        ml.ncf.model.artifact.ArtifactError: the artifact cannot be loaded.
    """
    try:
        package = current_package(_approved(_client("sagemaker"), model_package_group))
        if package is None:
            return None
        location = urlsplit(package.model_data_url)
        archive = workspace / MODEL_ARCHIVE
        _client("s3").download_file(location.netloc, location.path.lstrip("/"), str(archive))
    except (Boto3Error, BotoCoreError, ClientError, KeyError, IndexError) as error:
        raise ChampionError(f"champion of {model_package_group}: {error!r}") from error
    artifact.unpack(archive, workspace / "champion")
    return Champion(package.arn, artifact.read(workspace / "champion"), _gate_metrics(package.report_uri))


def _gate_metrics(report_uri: str) -> dict[str, float]:
    """Metrics of the gate in an evaluation report; empty if there is no report, or an unreadable one."""
    location = urlsplit(report_uri)
    try:
        found = _client("s3").get_object(Bucket=location.netloc, Key=location.path.lstrip("/"))
        model = json.loads(found["Body"].read())[CANDIDATE]
        return {metric.key: float(model[metric.key]) for metric in GATED_METRICS}
    except (BotoCoreError, ClientError, ValueError, KeyError, TypeError):
        return {}


def _client(service: str) -> Any:
    """A client in the job's region: SageMaker sets AWS_REGION, botocore reads AWS_DEFAULT_REGION only."""
    return boto3.client(service, region_name=os.environ.get("AWS_REGION"), config=CLIENT_CONFIG)


def _approved(sagemaker: Any, model_package_group: str) -> Iterator[ModelPackage]:
    """All approved packages of a group by descending version; each is described only when consumed."""
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=model_package_group, ModelApprovalStatus="Approved"
    )
    arns = [summary["ModelPackageArn"] for page in pages for summary in page["ModelPackageSummaryList"]]
    for arn in sorted(arns, key=version_of, reverse=True):
        package = sagemaker.describe_model_package(ModelPackageName=arn)
        yield ModelPackage(
            arn=arn,
            approval=package["ModelApprovalStatus"],
            metadata=package.get("CustomerMetadataProperties") or {},
            model_data_url=package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"],
            report_uri=_report_uri(package),
        )


def _report_uri(package: Mapping[str, Any]) -> str:
    """URI of the evaluation report of a package; empty if it has none."""
    quality = (package.get("ModelMetrics") or {}).get("ModelQuality") or {}
    return str((quality.get("Statistics") or {}).get("S3Uri", ""))
