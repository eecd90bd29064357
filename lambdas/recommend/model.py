"""Requests to the endpoint and its responses, without AWS calls."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from ids import ApiError, invalid_parameter
from logic import Query

MAX_REQUEST_BYTES = 5 * 1024 * 1024  # to the endpoint; its limit is 6 MB (SageMaker endpoints and quotas)
STRATEGIES = ("ncf", "ncf+session", "session", "popular")


UNKNOWN_VERSION = "unknown"  # of an answer without a readable model version
MAX_RECORDED = 100  # items: a log event has 256 KiB
VERSION = re.compile(r"[A-Za-z0-9_-]{1,64}")  # of versions that are a metric's dimension


class ModelError(ApiError):
    """The model did not answer; the error response if there is no popular list either.

    Attributes:
        is_outage: other requests would fail too, so that the circuit breaker counts it.
        bad_version: model version of an answer that is invalid or late; None: there was no answer, which
            SageMaker's own metrics count.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        *,
        is_outage: bool = True,
        bad_version: str | None = None,
    ) -> None:
        super().__init__(status, code, message)
        self.is_outage = is_outage
        self.bad_version = bad_version


def model_request(query: Query) -> str:
    """Request body of the endpoint.

    Raises:
        ApiError: 400, the request is too large for the endpoint.
    """
    shared: dict[str, Any] = {"k": query.k}
    # Absent fields are not sent: a model of an earlier version refuses fields that it does not know.
    if query.candidates is not None:
        shared["candidates"] = query.candidates
    if query.exclude_items:
        shared["exclude_items"] = query.exclude_items
    if query.recent_items is not None:
        shared["recent_items"] = [asdict(item) for item in query.recent_items]
    body = json.dumps({"instances": [{"user_id": user, **shared} for user in query.user_ids]})
    if len(body) > MAX_REQUEST_BYTES:
        raise invalid_parameter(
            "user_ids, candidates and exclude_items: too large in one request, so send fewer of them"
        )
    return body


def recommendations(content: bytes, query: Query) -> tuple[list[dict[str, Any]], str]:
    """Parse the response of the endpoint: one recommendation per user, in query order, and the model version.

    Raises:
        ModelError: 502, the response does not have the expected structure.
    """
    version: Any = None
    try:
        answer = json.loads(content)
        version = answer["model_version"]
        found = [_recommendation(prediction) for prediction in answer["predictions"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _invalid_response(version) from None
    if [each["user_id"] for each in found] != list(query.user_ids) or not isinstance(version, str):
        raise _invalid_response(version)
    return found, version


def answer_record(
    user: Mapping[str, str],
    version: str,
    found: Sequence[Mapping[str, Any]],
    *,
    latency_s: float,
    error: str,
) -> dict[str, Any]:
    """The model's answer to a single user, for comparisons of models (local/variants).

    Args:
        user: what `recording.RecordingKey.user` makes of the user's id.
        version: of the model.
        found: recommendations.
        latency_s: of the answer.
        error: code; empty if there was none.
    """
    return {
        "answered_at": time.time(),
        **user,
        "model_version": version,
        "items": [item["item_id"] for each in found for item in each["items"]][:MAX_RECORDED],
        "latency_ms": round(1000 * latency_s, 1),
        "error": error,
    }


def is_empty(found: Sequence[Mapping[str, Any]], query: Query) -> bool:
    """Whether no user got an item, although the request does not restrict the items."""
    is_free = query.candidates is None and not query.exclude_items
    return is_free and not any(each["items"] for each in found)


def model_timeout() -> ModelError:
    """The endpoint did not answer within the time budget."""
    return ModelError(
        HTTPStatus.GATEWAY_TIMEOUT,
        "ModelTimeout",
        "the model did not respond in time: try again later",
        bad_version=UNKNOWN_VERSION,
    )


def model_error(code: str, original_status: int | None) -> ModelError:
    """Failed invocation of the endpoint.

    Args:
        code: error code of the service.
        original_status: HTTP status of the container, if the container failed. With 4xx it refused this
            request only, such as one with fields that an older model does not know.
    """
    if original_status is not None:
        is_outage = not HTTPStatus.BAD_REQUEST <= original_status < HTTPStatus.INTERNAL_SERVER_ERROR
        message = "the model failed: try again later"
        return ModelError(HTTPStatus.BAD_GATEWAY, "ModelFailed", message, is_outage=is_outage)
    if code in ("ThrottlingException", "TooManyRequestsException"):
        return ModelError(
            HTTPStatus.SERVICE_UNAVAILABLE, "Busy", "too many requests at once: try again later"
        )
    return ModelError(
        HTTPStatus.SERVICE_UNAVAILABLE, "ModelUnavailable", "the model cannot be reached: try again later"
    )


def _recommendation(prediction: Mapping[str, Any]) -> dict[str, Any]:
    scores = [float(item["score"]) for item in prediction["items"]]
    if not all(map(math.isfinite, scores)):
        raise ValueError("a score is not finite")
    items = [
        {"item_id": str(item["item_id"]), "score": score}
        for item, score in zip(prediction["items"], scores, strict=True)
    ]
    if prediction["strategy"] not in STRATEGIES:
        raise ValueError("the strategy is not known")
    found = {"user_id": prediction["user_id"], "items": items, "strategy": prediction["strategy"]}
    if "ignored_items" in prediction:
        found["ignored_items"] = int(prediction["ignored_items"])
    return found


def _invalid_response(version: Any) -> ModelError:
    is_readable = isinstance(version, str) and VERSION.fullmatch(version)
    return ModelError(
        HTTPStatus.BAD_GATEWAY,
        "ModelFailed",
        "the response of the model is invalid: try again later",
        bad_version=version if is_readable else UNKNOWN_VERSION,
    )


def strategies(found: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Number of recommendations per strategy, for the log."""
    counts: dict[str, int] = {}
    for each in found:
        counts[each["strategy"]] = counts.get(each["strategy"], 0) + 1
    return counts
