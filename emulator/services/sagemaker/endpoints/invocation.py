"""InvokeEndpoint: forwards a request to a model server and translates its response."""

from __future__ import annotations

import time

import urllib3

from emulator.region import Region
from emulator.services.sagemaker.endpoints.invocation_metrics import record
from emulator.services.sagemaker.endpoints.traffic import RunningEndpoint
from emulator.services.sagemaker.endpoints.variant import LOG_GROUP, VariantServer
from emulator.wire import Request, Response, ServiceError

MAX_RESPONSE_BYTES = 6_291_456  # API reference, InvokeEndpoint: Body of the response
INVOCATION_TIMEOUT_S = 60.0  # API reference, InvokeEndpoint: containers must respond within 60 seconds
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
FORWARDED_HEADERS = ("Content-Type", "Accept", CUSTOM_ATTRIBUTES)


def invoke(region: Region, name: str, endpoint: RunningEndpoint | None, request: Request) -> Response:
    """Answer InvokeEndpoint.

    Raises:
        ServiceError: no such endpoint, or no fleet in service.
    """
    account = region.account_id
    if endpoint is None:
        raise _validation_error(f"Endpoint {name} of account {account} not found.")
    target = request.headers.get("X-Amzn-SageMaker-Target-Variant")
    with endpoint.serving(target) as variant:
        if variant is None:
            what = f"Variant {target} of endpoint {name}" if target else f"Endpoint {name}"
            raise _validation_error(f"{what} of account {account} is not in service.")
        began = time.perf_counter()
        response, status = _forward(region, name, variant, request)
        record(region, variant, status, time.perf_counter() - began)
        return response


def _forward(region: Region, name: str, variant: VariantServer, request: Request) -> tuple[Response, int]:
    """The response, and the HTTP status of the container; 0 without a response of it."""
    headers = {key: request.headers[key] for key in FORWARDED_HEADERS if key in request.headers}
    try:
        answer = variant.invoke(request.body, headers, INVOCATION_TIMEOUT_S)
    except urllib3.exceptions.TimeoutError:
        message = "Your invocation timed out while waiting for a response from container primary."
        return _model_error(region, name, variant, status=0, original=message, message=message), 0
    except urllib3.exceptions.HTTPError:
        message = "The container primary closed the connection without a response."
        return _model_error(region, name, variant, status=0, original=message, message=message), 0
    if answer.status != 200:
        text = answer.data.decode(errors="replace")
        side = "client" if answer.status < 500 else "server"
        message = f'Received {side} error ({answer.status}) from primary with message "{text}".'
        error = _model_error(region, name, variant, status=answer.status, original=text, message=message)
        return error, answer.status
    if len(answer.data) > MAX_RESPONSE_BYTES:
        message = f"Received a response of more than {MAX_RESPONSE_BYTES} bytes from container primary."
        error = _model_error(region, name, variant, status=answer.status, original=message, message=message)
        return error, 0
    response_headers = {
        "Content-Type": answer.headers.get("Content-Type", "application/octet-stream"),
        "x-Amzn-Invoked-Production-Variant": variant.spec.name,
    }
    if attributes := answer.headers.get(CUSTOM_ATTRIBUTES):
        response_headers[CUSTOM_ATTRIBUTES] = attributes
    return Response(200, answer.data, response_headers), answer.status


def _model_error(
    region: Region, name: str, variant: VariantServer, *, status: int, original: str, message: str
) -> Response:
    group = LOG_GROUP.format(name)
    body = {
        "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if 400 <= status < 500 else "SERVER_ERROR_FROM_MODEL",
        "LogStreamArn": region.arn("logs", f"log-group:{group}"),
        "Message": f"{message} See {variant.log_stream} in {group} of CloudWatch Logs for more information.",
        "OriginalMessage": original,
        "OriginalStatusCode": status,
    }
    return Response(424, body, {"x-amzn-ErrorType": "ModelError"})


def _validation_error(message: str) -> ServiceError:
    """Error for a request that is not valid; SageMaker Runtime's code differs from SageMaker's."""
    return ServiceError("ValidationError", message)
