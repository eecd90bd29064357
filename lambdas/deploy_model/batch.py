"""Batch recommendations of the deployed package: a SageMaker processing job after each rollout (ADR 33).

The name of a job has the version of the package, a digest of its rollout, and the number of the attempt. Job
names are unique, so that repeated events start no second job. A job that failed is started again: it goes on
with the parts that are missing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from logic import DIGEST_LENGTH, ENDPOINT_SEEN, EventError, Package

MAX_ATTEMPTS = 3  # of one rollout, without an operator
SOURCE_URI = "source_uri"  # metadata of a package: the code that it was trained with
INPUT = "/opt/ml/processing/input"


@dataclass(frozen=True)
class BatchJob:
    """A job of the batch recommendations."""

    name: str
    version: int  # of the package
    attempt: int

    @classmethod
    def parse(cls, name: Any, endpoint_name: str) -> BatchJob:
        """The job of a name.

        Raises:
            EventError: not the name of such a job.
        """
        pattern = rf"{re.escape(endpoint_name)}-batch-v(\d+)-[0-9a-f]{{{DIGEST_LENGTH}}}-(\d+)"
        found = re.fullmatch(pattern, name) if isinstance(name, str) else None
        if not found:
            raise EventError(f"batch_job is {name!r}: expected the name of a batch job of {endpoint_name}")
        return cls(name, int(found[1]), int(found[2]))

    @classmethod
    def first(cls, endpoint_name: str, package: Package) -> BatchJob:
        """The first attempt of the package's rollout."""
        content = f"{package.arn} {rollout(package)}"
        digest = hashlib.sha256(content.encode()).hexdigest()[:DIGEST_LENGTH]
        return cls(f"{endpoint_name}-batch-v{package.version}-{digest}-1", package.version, 1)

    def next(self) -> BatchJob:
        """The following attempt."""
        name = f"{self.name.rpartition('-')[0]}-{self.attempt + 1}"
        return BatchJob(name, self.version, self.attempt + 1)

    def is_of_rollout(self, other: str | None) -> bool:
        """Whether another job is an attempt of the same rollout."""
        return other is not None and other.rpartition("-")[0] == self.name.rpartition("-")[0]


def rollout(package: Package) -> str:
    """The time of the package's rollout: the last change of the endpoint before it."""
    return package.metadata.get(ENDPOINT_SEEN, "")


def request(job: BatchJob, package: Package, template: Mapping[str, Any]) -> dict[str, Any] | None:
    """CreateProcessingJob of an attempt; None if the package was registered without the URI of its code.

    Args:
        job: the attempt.
        package: the deployed package.
        template: the request without name, model, code and the arguments of the rollout.
    """
    code = package.metadata.get(SOURCE_URI)
    if code is None or package.model_data_url is None:
        return None
    application = template["AppSpecification"]
    arguments = ["--model-package", package.arn, "--rollout", rollout(package)]
    return {
        **template,
        "ProcessingJobName": job.name,
        "AppSpecification": {
            **application,
            "ContainerArguments": [*application["ContainerArguments"], *arguments],
        },
        "ProcessingInputs": [
            _input("code", code),
            _input("model", package.model_data_url),
            *template.get("ProcessingInputs", []),
        ],
    }


def _input(name: str, uri: str) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"{INPUT}/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        },
    }
