"""SageMaker provider: jobs, pipelines, model registry and endpoints, per region."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any

from moto.core.exceptions import ServiceException

from emulator.host import Host
from emulator.provider import EmitEvent, Forward, Provider
from emulator.region import Region
from emulator.services.sagemaker.endpoints.deployment import MAX_BAKING_S
from emulator.services.sagemaker.endpoints.endpoint_operations import Endpoints
from emulator.services.sagemaker.events import EventPublisher
from emulator.services.sagemaker.jobs.processing import ProcessingJobs
from emulator.services.sagemaker.jobs.training import TrainingJobs
from emulator.services.sagemaker.pipelines.pipeline_operations import Pipelines
from emulator.services.sagemaker.registry import Registry
from emulator.wire import Operation, Request, Response, Route, ServiceError

TARGET = "SageMaker."
INVOKE_PATH = r"/endpoints/(?P<name>[^/]+)/invocations"


class RegionalSageMaker:
    """SageMaker in one region."""

    def __init__(self, region: Region, forward: Forward, emit: EmitEvent, max_baking_s: float) -> None:
        events = EventPublisher(region, emit)
        self.training = TrainingJobs(region, forward, events)
        self.processing = ProcessingJobs(region, forward, events)
        self.pipelines = Pipelines(region, forward, events, self.training, self.processing)
        self.registry = Registry(region, forward, events)
        self.endpoints = Endpoints(region, forward, events, max_baking_s)

    def operations(self) -> dict[str, Operation]:
        """Handlers by operation name; moto answers the other operations."""
        return {
            "CreateTrainingJob": self.training.create,
            "StopTrainingJob": self.training.stop,
            "CreateProcessingJob": self.processing.create,
            "StopProcessingJob": self.processing.stop,
            **self.pipelines.operations(),
            **self.registry.operations(),
            **self.endpoints.operations(),
        }


class SageMakerProvider(Provider):
    """Runs jobs, pipelines and endpoints; moto stores every resource.

    Args:
        max_baking_s: longest waiting or baking period of an endpoint's deployment.
    """

    def __init__(
        self, host: Host, forward: Forward, emit: EmitEvent, *, max_baking_s: float = MAX_BAKING_S
    ) -> None:
        self._host = host
        self._forward = forward
        self._emit = emit
        self._max_baking_s = max_baking_s
        self._lock = threading.Lock()
        self._regions: dict[str, RegionalSageMaker] = {}

    def operations(self) -> dict[str, Operation]:
        """Handlers by X-Amz-Target."""
        names = self._regional(self._host.default_region).operations()
        return {f"{TARGET}{name}": self._handle for name in names}

    def routes(self) -> list[Route]:
        """InvokeEndpoint."""
        return [Route("POST", INVOKE_PATH, self._invoke, "sagemaker")]

    def _handle(self, request: Request) -> Mapping[str, Any] | Response | None:
        handler = self._regional(request.region).operations()[request.operation]
        try:
            return handler(request)
        except ServiceException as error:  # raised by moto, for example when a model does not exist
            raise ServiceError(error.code, error.message) from error

    def _invoke(self, request: Request, match: re.Match[str]) -> Response:
        return self._regional(request.region).endpoints.invoke(request, match)

    def _regional(self, name: str) -> RegionalSageMaker:
        with self._lock:
            if name not in self._regions:
                region = Region(self._host, name)
                self._regions[name] = RegionalSageMaker(region, self._forward, self._emit, self._max_baking_s)
            return self._regions[name]
