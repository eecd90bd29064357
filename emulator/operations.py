"""The service and operation that a request calls, by botocore's service models.

moto's router matches the paths of REST services; the JSON and query protocols name their operation.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.core.model import OperationModel, ServiceModel
from moto.core.request import Request as MotoRequest
from moto.core.routing import get_router_class
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

from emulator.wire import Request, ServiceError

# Services of the emulator: botocore's names by the signing name of the request.
SERVICES: Mapping[str, str] = {
    "application-autoscaling": "application-autoscaling",
    "apigateway": "apigatewayv2",
    "budgets": "budgets",
    "codebuild": "codebuild",
    "ec2": "ec2",
    "elasticmapreduce": "emr",
    "events": "events",
    "iam": "iam",
    "kms": "kms",
    "lambda": "lambda",
    "logs": "logs",
    "monitoring": "cloudwatch",
    "s3": "s3",
    "sagemaker": "sagemaker",
    "scheduler": "scheduler",
    "secretsmanager": "secretsmanager",
    "sns": "sns",
    "sqs": "sqs",
    "sts": "sts",
}
# Signing names that several services share: the service whose paths begin with the prefix.
SHARED_SIGNING_NAMES = (
    ("s3", "/v20180820/", "s3control"),
    ("sagemaker", "/endpoints/", "sagemaker-runtime"),
)
# Paths of the emulator that are not part of a service's API.
OWN_PATHS = ("/_aws/", "/moto-api")


@dataclass(frozen=True)
class ApiCall:
    """An operation of a service's API, as one request calls it.

    Attributes:
        service: botocore's name of the service (``emr``).
        model: botocore's model of the operation.
        labels: percent-decoded parameters of the path.
    """

    service: str
    model: OperationModel
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the operation (``RunJobFlow``)."""
        return str(self.model.name)

    @property
    def protocol(self) -> str:
        """Protocol of the service model: json, query, ec2, rest-json or rest-xml."""
        return str(self.model.service_model.protocol)


def identify(request: Request) -> ApiCall | None:
    """Operation that a request calls; None for paths that belong to no service, such as a deployed API's.

    Raises:
        ServiceError: the service has no such operation, or the emulator does not have the service.
    """
    if request.path.startswith(OWN_PATHS):
        return None
    if protocol := request.headers.get("smithy-protocol"):
        raise not_implemented(f"the protocol {protocol}; use the JSON or query protocol of {request.service}")
    service = service_of(request)
    model = service_model(service)
    if str(model.protocol).startswith("rest-"):
        return _match_path(service, request)
    if request.operation not in model.operation_names:
        code = "InvalidAction" if model.protocol in ("query", "ec2") else "UnknownOperationException"
        raise ServiceError(code, f"The action {request.operation} is not valid for this endpoint.")
    return ApiCall(service, model.operation_model(request.operation))


def service_of(request: Request) -> str:
    """botocore's name of the service that a request is sent to.

    Raises:
        ServiceError: NotImplemented, the emulator does not have the service.
    """
    name = request.service or "s3"  # unsigned requests without a target are S3's
    if not request.target:
        for signing_name, prefix, service in SHARED_SIGNING_NAMES:
            if name == signing_name and request.path.startswith(prefix):
                return service
    if request.target and "Authorization" not in request.headers and name not in SERVICES:
        raise ServiceError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    if name not in SERVICES or (name == "apigateway" and not request.path.startswith("/v2/")):
        raise not_implemented(f"{name} {request.operation or request.path}")
    return SERVICES[name]


def not_implemented(what: str) -> ServiceError:
    """Error for an operation or service that the emulator does not have."""
    return ServiceError("NotImplemented", f"the emulator does not implement {what}", 501)


@functools.cache
def service_model(service: str) -> ServiceModel:
    """Model of a service; read once."""
    return get_service_model(service)


@functools.cache
def _router(service: str) -> Any:
    model = service_model(service)
    make_router = get_router_class(service, str(model.protocol))
    if make_router is None:
        raise LookupError(f"moto has no router for {service}")
    return make_router(model)


def _match_path(service: str, request: Request) -> ApiCall:
    try:
        operation, labels = _router(service).match(MotoRequest(request.environ))
    except NotFound:
        raise not_implemented(f"{service} {request.method} {request.path}") from None
    return ApiCall(service, operation, labels)
