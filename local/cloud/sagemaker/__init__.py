"""SageMaker in the embedded cloud: jobs, pipelines, the registry and endpoints that really run."""

from local.cloud.sagemaker.plane import SageMakerPlane

__all__ = ["SageMakerPlane"]
