"""SageMaker in the emulator: jobs, pipelines, the registry and endpoints that really run."""

from emulator.services.sagemaker.provider import SageMakerProvider

__all__ = ["SageMakerProvider"]
