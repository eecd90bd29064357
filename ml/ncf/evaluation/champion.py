"""The champion: the newest approved package of the model package group, and its artifact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ml.contract import MODEL_ARCHIVE
from ml.ncf.model import artifact

# Every call is bounded: three tries of at most 5 s to connect and 60 s between bytes.
CALLS = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 3})


class ChampionError(RuntimeError):
    """The registry or the champion's artifact cannot be read."""


@dataclass(frozen=True, eq=False)
class Champion:
    """An approved package and the model that it registers."""

    model_package_arn: str
    artifact: artifact.Artifact


def find(model_package_group: str, workspace: Path) -> Champion | None:
    """The newest approved package's model, downloaded below `workspace`; None when nothing was ever approved.

    Raises:
        ChampionError: a call fails.
        ml.ncf.model.artifact.ArtifactError: the artifact cannot be loaded.
    """
    try:
        sagemaker = boto3.client("sagemaker", config=CALLS)
        newest = sagemaker.list_model_packages(
            ModelPackageGroupName=model_package_group,
            ModelApprovalStatus="Approved",
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=1,
        )["ModelPackageSummaryList"]
        if not newest:
            return None
        arn = newest[0]["ModelPackageArn"]
        package = sagemaker.describe_model_package(ModelPackageName=arn)
        location = urlsplit(package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"])
        archive = workspace / MODEL_ARCHIVE
        boto3.client("s3", config=CALLS).download_file(
            location.netloc, location.path.lstrip("/"), str(archive)
        )
    except (BotoCoreError, ClientError, KeyError, IndexError) as error:
        raise ChampionError(f"champion of {model_package_group}: {error!r}") from error
    artifact.unpack(archive, workspace / "champion")
    return Champion(arn, artifact.read(workspace / "champion"))
