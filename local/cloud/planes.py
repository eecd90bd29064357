"""The planes of the embedded cloud."""

from __future__ import annotations

from local.cloud.codebuild.plane import CodeBuildPlane
from local.cloud.emr.plane import EmrPlane
from local.cloud.events.plane import EventsPlane
from local.cloud.gateway.plane import GatewayPlane
from local.cloud.lambdas.plane import LambdaPlane
from local.cloud.plane import Plane
from local.cloud.sagemaker import SageMakerPlane
from local.cloud.scheduler.plane import SchedulerPlane
from local.cloud.storage import StoragePlane


def all_planes() -> list[type[Plane]]:
    """Every plane, in the order in which they are asked for a route."""
    return [
        EventsPlane,
        LambdaPlane,
        CodeBuildPlane,
        EmrPlane,
        GatewayPlane,
        SageMakerPlane,
        SchedulerPlane,
        StoragePlane,
    ]
