"""Absent members of moto's answers: AWS leaves a member out where moto answers null or an empty structure.

Clients that check answers against the service's model fail on an empty structure whose model has required
members (`VpcConfig: {}`), and infrastructure tools see a difference.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from moto.core.model import ServiceModel
from moto.core.utils import get_service_model

from emulator.wire import Request, Response

# botocore's service names by the prefix of X-Amz-Target.
SERVICES: Mapping[str, str] = {
    "AnyScaleFrontendService": "application-autoscaling",
    "AWSBudgetServiceGateway": "budgets",
    "AWSEvents": "events",
    "AmazonSQS": "sqs",
    "CodeBuild_20161006": "codebuild",
    "ElasticMapReduce": "emr",
    "Logs_20140328": "logs",
    "SageMaker": "sagemaker",
    "TrentService": "kms",
    "secretsmanager": "secretsmanager",
}
MARKS = (b"null", b"{}")  # an answer without these has nothing to leave out


def without_absent_members(request: Request, response: Response) -> Response:
    """The response without members that AWS would leave out; other protocols than AWS JSON are unchanged."""
    service = SERVICES.get(request.target.rpartition(".")[0])
    if service is None or response.status != 200:
        return response
    body, headers = response.encoded()
    if not any(mark in body for mark in MARKS):
        return response
    shape = _model(service).operation_model(request.operation).output_shape
    headers.remove("Content-Length")
    return Response(response.status, json.dumps(_pruned(json.loads(body), shape)).encode(), list(headers))


def _pruned(value: Any, shape: Any) -> Any:
    kind = getattr(shape, "type_name", "")
    if isinstance(value, dict) and kind == "structure":
        members = shape.members
        return {
            name: _pruned(item, members.get(name))
            for name, item in value.items()
            if item is not None and not _is_absent(item, members.get(name))
        }
    if isinstance(value, dict) and kind == "map":
        return {name: _pruned(item, shape.value) for name, item in value.items()}
    if isinstance(value, list) and kind == "list":
        return [_pruned(item, shape.member) for item in value]
    return value


def _is_absent(value: Any, shape: Any) -> bool:
    """Whether a member is an empty structure that its model does not allow."""
    return value == {} and getattr(shape, "type_name", "") == "structure" and bool(shape.required_members)


@functools.cache
def _model(service: str) -> ServiceModel:
    return get_service_model(service)
