"""The SageMaker provider: jobs, pipelines, the registry and endpoints of every region that is used."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any

from moto.core.exceptions import ServiceException

from emulator.host import Host
from emulator.provider import EmitEvent, Forward, Provider
from emulator.region import Region
from emulator.services.sagemaker.endpoints import Endpoints
from emulator.services.sagemaker.pipelines import Pipelines
from emulator.services.sagemaker.processing import ProcessingJobs
from emulator.services.sagemaker.registry import Registry
from emulator.services.sagemaker.site import Site
from emulator.services.sagemaker.training import TrainingJobs
from emulator.wire import Operation, Request, Response, Route, ServiceError

TARGET = "SageMaker."
INVOKE_PATH = r"/endpoints/(?P<name>[^/]+)/invocations"


class RegionalSageMaker:
    """SageMaker in one region."""

    def __init__(self, site: Site) -> None:
        self.training = TrainingJobs(site)
        self.processing = ProcessingJobs(site)
        self.pipelines = Pipelines(site, self.training, self.processing)
        self.registry = Registry(site)
        self.endpoints = Endpoints(site)

    def operations(self) -> dict[str, Operation]:
        """Handlers by operation name; everything else is moto's."""
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
    """moto is the control plane and keeps every resource; this is the half that runs."""

    def __init__(self, host: Host, forward: Forward, emit: EmitEvent) -> None:
        self._host = host
        self._forward = forward
        self._emit = emit
        self._lock = threading.Lock()
        self._regions: dict[str, RegionalSageMaker] = {}

    def operations(self) -> dict[str, Operation]:
        """Handlers by X-Amz-Target."""
        names = self.regional(self._host.default_region).operations()
        return {f"{TARGET}{name}": self._handle for name in names}

    def routes(self) -> list[Route]:
        """InvokeEndpoint."""
        return [Route("POST", INVOKE_PATH, self._invoke, "sagemaker")]

    def _handle(self, request: Request) -> Mapping[str, Any] | Response | None:
        handler = self.regional(request.region).operations()[request.operation]
        try:
            return handler(request)
        except ServiceException as error:  # moto's own: a model or a configuration that does not exist
            raise ServiceError(error.code, error.message) from error

    def _invoke(self, request: Request, match: re.Match[str]) -> Response:
        return self.regional(request.region).endpoints.invoke(request, match)

    def regional(self, name: str) -> RegionalSageMaker:
        """SageMaker of a region."""
        with self._lock:
            if name not in self._regions:
                site = Site(Region(self._host, name), self._forward, self._emit)
                self._regions[name] = RegionalSageMaker(site)
            return self._regions[name]
