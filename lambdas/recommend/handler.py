"""The recommendation API: ``GET /recommendations/{user_id}?k=10`` and ``POST /recommendations``.

Takes HTTP API events (payload format 2.0) and responds as described in ``openapi.yaml``. Every failure is an
error response of that file. Logs contain counts and outcomes, and no user ids.

Environment:
    ENDPOINT_NAME: SageMaker endpoint to invoke.
"""

from __future__ import annotations

import json
import os
from http import HTTPStatus
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError
from logic import (
    JSON,
    ApiError,
    Query,
    batch_query,
    model_error,
    model_request,
    recommendations,
    single_query,
    strategies,
)

ENDPOINT_NAME = os.environ["ENDPOINT_NAME"]
RETRY_AFTER_S = 1

logger = Logger(service="recommend")
# Two attempts take at most 12 s; the integration timeout of the API is 15 s.
runtime = boto3.client(
    "sagemaker-runtime",
    config=Config(connect_timeout=1, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}),
)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Respond to one request, in payload format 2.0."""
    request = APIGatewayProxyEventV2(event)
    try:
        return _response(HTTPStatus.OK, _route(request))
    except ApiError as error:
        logger.warning("request failed", extra={"status": error.status, "code": error.code})
        return _failure(error, request.request_context.request_id)
    except Exception:
        # The client gets an error response of the API; the stack trace goes to the log.
        logger.exception("unexpected error")
        internal = ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal", "unexpected error: try again later")
        return _failure(internal, request.request_context.request_id)


def _route(request: APIGatewayProxyEventV2) -> dict[str, Any]:
    match request.route_key:
        case "GET /recommendations/{user_id}":
            query = single_query(request.path_parameters, request.query_string_parameters)
            found, version = _recommend(query)
            return {**found[0], "model_version": version}
        case "POST /recommendations":
            query = batch_query(
                request.body,
                is_base64=bool(request.is_base64_encoded),
                content_type=request.headers.get("content-type"),
            )
            found, version = _recommend(query)
            return {"recommendations": found, "model_version": version}
        case _:
            raise ApiError(
                HTTPStatus.NOT_FOUND,
                "NotFound",
                "no such path: use GET /recommendations/{user_id} or POST /recommendations",
            )


def _recommend(query: Query) -> tuple[list[dict[str, Any]], str]:
    found, version = recommendations(_invoke(model_request(query)), query)
    logger.info(
        "request answered",
        extra={"users": len(found), "k": query.k, "strategies": strategies(found), "model_version": version},
    )
    return found, version


def _invoke(body: str) -> bytes:
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=ENDPOINT_NAME, ContentType=JSON, Accept=JSON, Body=body.encode()
        )
        return answer["Body"].read()
    except (ConnectTimeoutError, ReadTimeoutError):
        raise ApiError(
            HTTPStatus.GATEWAY_TIMEOUT, "ModelTimeout", "the model did not respond in time: try again later"
        ) from None
    except ClientError as error:
        code = error.response["Error"]["Code"]
        logger.error("endpoint returned an error", extra={"endpoint_code": code})
        raise model_error(code, error.response.get("OriginalStatusCode")) from error
    except BotoCoreError as error:
        logger.error("endpoint unreachable", extra={"endpoint_code": type(error).__name__})
        raise model_error(type(error).__name__, None) from error


def _response(status: HTTPStatus, content: dict[str, Any], **headers: str) -> dict[str, Any]:
    return {
        "statusCode": int(status),
        "headers": {"content-type": JSON, "cache-control": "no-store", **headers},
        "body": json.dumps(content),
        "isBase64Encoded": False,
    }


def _failure(error: ApiError, request_id: str) -> dict[str, Any]:
    content = {"error": {"code": error.code, "message": error.message, "request_id": request_id}}
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return _response(error.status, content, **{"retry-after": str(RETRY_AFTER_S)})
    return _response(error.status, content)
