"""InvokeEndpoint: which container gets a request, and what its answer looks like."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3

from emulator.services.sagemaker.fleet import LOG_GROUP, Fleet, Variant
from emulator.services.sagemaker.site import Site
from emulator.wire import Request, Response, ServiceError

MAX_BODY_BYTES = 6_291_456  # API reference, InvokeEndpoint: Body
INVOCATION_S = 60.0  # API reference, InvokeEndpoint: containers must respond within 60 seconds
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
FORWARDED = ("Content-Type", "Accept", CUSTOM_ATTRIBUTES)


class LiveEndpoint:
    """The running half of one endpoint: which fleet gets its traffic.

    Attributes:
        record: moto's endpoint.
    """

    def __init__(self, record: Any) -> None:
        self.record = record
        self._lock = threading.Lock()
        self._blue: Fleet | None = None  # in service
        self._green: Fleet | None = None  # on its way there
        self._green_share = 0.0

    def prepare(self, green: Fleet) -> None:
        """A fleet is on its way; it gets no traffic yet."""
        with self._lock:
            self._green, self._green_share = green, 0.0

    def shift(self, share: float) -> None:
        """The share of the traffic that the new fleet gets from now on."""
        with self._lock:
            self._green_share = share

    def abandon(self) -> None:
        """The old fleet keeps the traffic."""
        with self._lock:
            self._green, self._green_share = None, 0.0

    def switch(self) -> Fleet | None:
        """The new fleet has the traffic; returns the old one, which gets none any more."""
        with self._lock:
            blue, self._blue = self._blue, self._green
            self._green, self._green_share = None, 0.0
            return blue

    def retire(self) -> Fleet | None:
        """Nobody has the traffic any more; returns the fleet that had it."""
        with self._lock:
            blue, self._blue = self._blue, None
            return blue

    @contextmanager
    def serving(self, target: str | None) -> Iterator[Variant | None]:
        """The variant for one invocation, which is not stopped meanwhile; None when there is none."""
        with self._lock:
            variant = self._pick(target)
            if variant is not None:
                variant.in_flight += 1
        try:
            yield variant
        finally:
            if variant is not None:
                with self._lock:
                    variant.in_flight -= 1

    def _pick(self, target: str | None) -> Variant | None:
        to_green = self._green is not None and random.random() < self._green_share  # noqa: S311 - no secret
        fleet = self._green if to_green else self._blue
        if fleet is None or target is not None:
            return fleet.variants.get(target) if fleet and target else None
        shown = self.record.production_variants or []
        return fleet.pick({item["VariantName"]: float(item.get("CurrentWeight", 1.0)) for item in shown})


def invoke(site: Site, name: str, live: LiveEndpoint | None, request: Request) -> Response:
    """The body to one container, its answer back.

    Raises:
        ServiceError: no such endpoint, nothing in service, or a body that is too large.
    """
    account = site.aws.account_id
    if live is None:
        raise _invalid(f"Endpoint {name} of account {account} not found.")
    if len(request.body) > MAX_BODY_BYTES:
        raise _invalid(f"Body size of {len(request.body)} bytes is above the limit of {MAX_BODY_BYTES}.")
    target = request.headers.get("X-Amzn-SageMaker-Target-Variant")
    with live.serving(target) as variant:
        if variant is None:
            what = f"Variant {target} of endpoint {name}" if target else f"Endpoint {name}"
            raise _invalid(f"{what} of account {account} is not in service.")
        return _ask(site, name, variant, request)


def _ask(site: Site, name: str, variant: Variant, request: Request) -> Response:
    headers = {key: request.headers[key] for key in FORWARDED if key in request.headers}
    try:
        answer = variant.invoke(request.body, headers, INVOCATION_S)
    except urllib3.exceptions.TimeoutError:
        said = "Your invocation timed out while waiting for a response from container primary."
        return _model_error(site, name, variant, status=0, said=said, message=said)
    except urllib3.exceptions.HTTPError:
        said = "The container primary closed the connection without a response."
        return _model_error(site, name, variant, status=0, said=said, message=said)
    if answer.status != 200:
        text = answer.data.decode(errors="replace")
        side = "client" if answer.status < 500 else "server"
        message = f'Received {side} error ({answer.status}) from primary with message "{text}".'
        return _model_error(site, name, variant, status=answer.status, said=text, message=message)
    shown = {
        "Content-Type": answer.headers.get("Content-Type", "application/octet-stream"),
        "x-Amzn-Invoked-Production-Variant": variant.spec.name,
    }
    if custom := answer.headers.get(CUSTOM_ATTRIBUTES):
        shown[CUSTOM_ATTRIBUTES] = custom
    return Response(200, answer.data, shown)


def _model_error(
    site: Site, name: str, variant: Variant, *, status: int, said: str, message: str
) -> Response:
    group = LOG_GROUP.format(name)
    body = {
        "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if 400 <= status < 500 else "SERVER_ERROR_FROM_MODEL",
        "LogStreamArn": f"arn:aws:logs:{site.region}:{site.aws.account_id}:log-group:{group}",
        "Message": f"{message} See {variant.log_stream} in {group} of CloudWatch Logs for more information.",
        "OriginalMessage": said,
        "OriginalStatusCode": status,
    }
    return Response(424, body, {"x-amzn-ErrorType": "ModelError"})


def _invalid(message: str) -> ServiceError:
    """sagemaker-runtime's spelling of a ValidationException."""
    return ServiceError("ValidationError", message)
