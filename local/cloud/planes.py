"""The planes of the embedded cloud."""

from __future__ import annotations

from local.cloud.codebuild import CodeBuildPlane
from local.cloud.emr import EmrPlane
from local.cloud.events import EventsPlane
from local.cloud.gateway import GatewayPlane
from local.cloud.lambdas import LambdaPlane
from local.cloud.plane import Plane
from local.cloud.sagemaker import SageMakerPlane
from local.cloud.scheduler import SchedulerPlane
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
