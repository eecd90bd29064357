"""The recommendation API: ``GET /recommendations/{user_id}?k=10`` and ``POST /recommendations``.

Takes HTTP API events (payload format 2.0) and responds as described in ``openapi.yaml``. If the endpoint does
not answer within its time budget, or without items, the newest popular list does (strategy ``fallback``).
Every failure is an error response of that file. Logs contain counts and outcomes, and no user ids; with
RECORD_ANSWERS, they also contain the items of each user, under a keyed hash of the id.

Environment:
    ENDPOINT_NAME: SageMaker endpoint to invoke.
    MODEL_TIMEOUT_MS: time budget of an invocation, with the connection.
    FALLBACK_BUCKET, FALLBACK_KEY: S3 object of the popular list, written by `deploy_model`.
    EVENT_WEIGHTS: JSON object with the weight of each event type of recent items.
    RECORD_ANSWERS: true or false: whether answers to single users are logged, for comparisons of models.
    RECORDING_KEY: S3 key in FALLBACK_BUCKET of the secret key that names users in these records.
    METRICS_NAMESPACE: CloudWatch namespace of the metrics ``Fallbacks``, ``Answers`` and ``BadAnswers``.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit, single_metric
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError
from breaker import CircuitBreaker
from fallback import EMPTY, PopularList, PopularListCache, PopularListError
from ids import ApiError, canonical_id
from logic import JSON, Query, batch_query, single_query
from model import (
    UNKNOWN_VERSION,
    ModelError,
    answer_record,
    is_empty,
    model_error,
    model_request,
    model_timeout,
    recommendations,
    strategies,
)
from recording import RecordingKey

ENDPOINT_NAME = os.environ["ENDPOINT_NAME"]
MODEL_TIMEOUT_S = int(os.environ["MODEL_TIMEOUT_MS"]) / 1000
FALLBACK_BUCKET = os.environ["FALLBACK_BUCKET"]
FALLBACK_KEY = os.environ["FALLBACK_KEY"]
EVENT_WEIGHTS: dict[str, float] = json.loads(os.environ["EVENT_WEIGHTS"])
RECORD_ANSWERS = os.environ["RECORD_ANSWERS"] == "true"
METRICS_NAMESPACE = os.environ["METRICS_NAMESPACE"]
FALLBACK_METRIC = "Fallbacks"
EMPTY_ANSWER = "EmptyAnswer"  # reason of a fallback: the model answered with no item
ANSWERS_METRIC, BAD_ANSWERS_METRIC = "Answers", "BadAnswers"
RETRY_AFTER_S = 1
CONNECT_TIMEOUT_S = 0.2  # a part of the time budget
MAX_FAILURES, OPEN_S = 3, 10.0  # of the circuit breaker
LIST_MAX_AGE_S, LIST_RETRY_S = 300.0, 10.0

logger = Logger(service="recommend")
# One attempt each: the time budget has no room for a second, and the popular list is the second answer.
runtime = boto3.client(
    "sagemaker-runtime",
    config=Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=MODEL_TIMEOUT_S - CONNECT_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": 1},
    ),
)
s3 = boto3.client(
    "s3",
    config=Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=0.5,
        retries={"mode": "standard", "total_max_attempts": 1},
    ),
)
breaker = CircuitBreaker(max_failures=MAX_FAILURES, open_s=OPEN_S)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Respond to one request, in payload format 2.0."""
    request = APIGatewayProxyEventV2(event)
    try:
        return _response(HTTPStatus.OK, _route(request, context.function_name))
    except ApiError as error:
        logger.warning("request failed", extra={"status": error.status, "code": error.code})
        return _failure(error, request.request_context.request_id)
    except Exception:
        # The client gets an error response of the API; the stack trace goes to the log.
        logger.exception("unexpected error")
        internal = ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal", "unexpected error: try again later")
        return _failure(internal, request.request_context.request_id)


def _route(request: APIGatewayProxyEventV2, function_name: str) -> dict[str, Any]:
    match request.route_key:
        case "GET /recommendations/{user_id}":
            query = single_query(request.path_parameters, request.query_string_parameters)
            found, version = _recommend(query, function_name)
            return {**found[0], "model_version": version}
        case "POST /recommendations":
            query = batch_query(
                request.body,
                is_base64=bool(request.is_base64_encoded),
                content_type=request.headers.get("content-type"),
                event_weights=EVENT_WEIGHTS,
            )
            found, version = _recommend(query, function_name)
            return {"recommendations": found, "model_version": version}
        case _:
            raise ApiError(
                HTTPStatus.NOT_FOUND,
                "NotFound",
                "no such path: use GET /recommendations/{user_id} or POST /recommendations",
            )


def _recommend(query: Query, function_name: str) -> tuple[list[dict[str, Any]], str]:
    """Recommendations of the model, or of the popular list, and the model version.

    Raises:
        ModelError: the model failed, and no popular list could be read since the start of this environment.
    """
    popular_lists.newest(math.inf)  # the first request reads it, so that a later outage of S3 does no harm
    began = time.perf_counter()
    try:
        found, version = _ask_model(query)
        _record(query, began, version, found)
    except ModelError as error:
        _record(query, began, error.bad_version or UNKNOWN_VERSION, [], error.code)
        popular = popular_lists.newest(LIST_MAX_AGE_S)
        if popular is None:
            raise
        _count_fallback(function_name, error.code)
        found, version = popular.recommend(query), popular.model_version
    else:
        if is_empty(found, query) and (popular := popular_lists.newest(LIST_MAX_AGE_S)) and popular.items:
            _count_fallback(function_name, EMPTY_ANSWER)
            found, version = popular.recommend(query), popular.model_version
    logger.info(
        "request answered",
        extra={"users": len(found), "k": query.k, "strategies": strategies(found), "model_version": version},
    )
    return found, version


def _ask_model(query: Query) -> tuple[list[dict[str, Any]], str]:
    """Recommendations of the model, behind the circuit breaker.

    Raises:
        ModelError: the circuit is open, or the endpoint failed or did not answer in time.
    """
    body = model_request(query)
    if not breaker.permits_call:
        raise model_error("CircuitOpen", None)
    try:
        found, version = recommendations(_invoke(body), query)
    except ModelError as error:
        if error.is_outage:
            breaker.record_failure()
        if error.bad_version is not None:
            _count_answer(error.bad_version, is_bad=True)
        raise
    breaker.record_success()
    _count_answer(version, is_bad=is_empty(found, query))
    return found, version


def _invoke(body: str) -> bytes:
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=ENDPOINT_NAME, ContentType=JSON, Accept=JSON, Body=body.encode()
        )
        return answer["Body"].read()
    except (ConnectTimeoutError, ReadTimeoutError):
        raise model_timeout() from None
    except ClientError as error:
        code = error.response["Error"]["Code"]
        logger.error("endpoint returned an error", extra={"endpoint_code": code})
        raise model_error(code, error.response.get("OriginalStatusCode")) from error
    except BotoCoreError as error:
        logger.error("endpoint unreachable", extra={"endpoint_code": type(error).__name__})
        raise model_error(type(error).__name__, None) from error


def _read_popular_list() -> PopularList:
    """The list in S3; the empty list of the bootstrap model if none was written yet."""
    try:
        return PopularList.parse(s3.get_object(Bucket=FALLBACK_BUCKET, Key=FALLBACK_KEY)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return EMPTY
        raise PopularListError(str(error)) from error
    except BotoCoreError as error:
        raise PopularListError(str(error)) from error


recording_key = RecordingKey(s3, FALLBACK_BUCKET, os.environ["RECORDING_KEY"])
popular_lists = PopularListCache(_read_popular_list, retry_s=LIST_RETRY_S)


def _record(
    query: Query, began: float, version: str, found: Sequence[Mapping[str, Any]], error: str = ""
) -> None:
    """Log the model's answer to a single user, if the stage compares models."""
    if not RECORD_ANSWERS or len(query.user_ids) != 1:
        return
    latency_s = time.perf_counter() - began
    try:
        user = recording_key.user(canonical_id(query.user_ids[0]))
    except (ClientError, BotoCoreError) as failure:  # the user gets the answer without it
        logger.warning("answer not recorded: no key", extra={"reason": type(failure).__name__})
        return
    logger.info(
        "answer recorded", extra=answer_record(user, version, found, latency_s=latency_s, error=error)
    )


def _count_answer(version: str, *, is_bad: bool) -> None:
    """Write the metrics of an answer of the model to the log; alarms on rollouts compare the versions."""
    metrics = EphemeralMetrics(namespace=METRICS_NAMESPACE)
    metrics.add_dimension("EndpointName", ENDPOINT_NAME)
    metrics.add_dimension("ModelVersion", version)
    metrics.add_metric(ANSWERS_METRIC, MetricUnit.Count, 1)
    metrics.add_metric(BAD_ANSWERS_METRIC, MetricUnit.Count, int(is_bad))
    metrics.flush_metrics()


def _count_fallback(function_name: str, reason: str) -> None:
    """Write the metric to the log, in CloudWatch's embedded metric format."""
    with single_metric(
        name=FALLBACK_METRIC,
        unit=MetricUnit.Count,
        value=1,
        namespace=METRICS_NAMESPACE,
        default_dimensions={"FunctionName": function_name},
    ) as metric:
        metric.add_metadata("reason", reason)


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
