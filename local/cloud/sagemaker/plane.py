"""The SageMaker plane: jobs, pipelines, the registry and endpoints of every region that is used."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException

from local.cloud.plane import Operation, Plane, Request, Response, Route, ServiceError
from local.cloud.sagemaker.endpoints import Endpoints
from local.cloud.sagemaker.pipelines import Pipelines
from local.cloud.sagemaker.processing import ProcessingJobs
from local.cloud.sagemaker.registry import Registry
from local.cloud.sagemaker.site import Site
from local.cloud.sagemaker.training import TrainingJobs

if TYPE_CHECKING:
    from local.cloud.server import Cloud

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


class SageMakerPlane(Plane):
    """moto is the control plane and keeps every resource; this is the half that runs."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._lock = threading.Lock()
        self._regions: dict[str, RegionalSageMaker] = {}

    def operations(self) -> dict[str, Operation]:
        """Handlers by X-Amz-Target."""
        names = self._region(self.cloud.region).operations()
        return {f"{TARGET}{name}": self._handle for name in names}

    def routes(self) -> list[Route]:
        """InvokeEndpoint."""
        return [Route("POST", INVOKE_PATH, self._invoke, "sagemaker")]

    def _handle(self, request: Request) -> Mapping[str, Any] | Response | None:
        handler = self._region(request.region).operations()[request.operation]
        try:
            return handler(request)
        except ServiceException as error:  # moto's own: a model or a configuration that does not exist
            raise ServiceError(error.code, error.message) from error

    def _invoke(self, request: Request, match: re.Match[str]) -> Response:
        return self._region(request.region).endpoints.invoke(request, match)

    def _region(self, name: str) -> RegionalSageMaker:
        with self._lock:
            if name not in self._regions:
                self._regions[name] = RegionalSageMaker(Site(self.cloud, name))
            return self._regions[name]
