"""The providers of the emulator."""

from __future__ import annotations

from emulator.provider import Provider
from emulator.services.apigateway.provider import ApiGatewayProvider
from emulator.services.codebuild.provider import CodeBuildProvider
from emulator.services.emr.provider import EmrProvider
from emulator.services.events.provider import EventsProvider
from emulator.services.lambda_.provider import LambdaProvider
from emulator.services.s3.provider import S3Provider
from emulator.services.sagemaker import SageMakerProvider
from emulator.services.scheduler.provider import SchedulerProvider


def all_providers() -> list[type[Provider]]:
    """Every provider, in the order in which they are asked for a route."""
    return [
        EventsProvider,
        LambdaProvider,
        CodeBuildProvider,
        EmrProvider,
        ApiGatewayProvider,
        SageMakerProvider,
        SchedulerProvider,
        S3Provider,
    ]
