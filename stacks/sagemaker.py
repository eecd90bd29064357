"""Names of SageMaker that the permissions of several slices refer to."""

from __future__ import annotations

SAGEMAKER = "sagemaker.amazonaws.com"
# SageMaker pipelines name the jobs and models that they create pipelines-<execution>-<step>-….
PIPELINE_RESOURCES = "pipelines-*"
