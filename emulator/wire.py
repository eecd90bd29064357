"""AWS requests and responses, and how results and errors are rendered in each protocol."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from werkzeug.datastructures import Headers, MultiDict

JSON_1_1 = "application/x-amz-json-1.1"


class ServiceError(Exception):
    """Error response of a service.

    Attributes:
        code: the service's error code, e.g. ``ResourceNotFoundException``.
        message: one line; the text of AWS if it is known.
        status: the HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True)
class Request:
    """An AWS request.

    Attributes:
        service: the signing name of the credential scope (``lambda``, ``s3``), or the prefix of
            X-Amz-Target; empty for an unsigned request.
        region: the region of the credential scope, else the emulator's default.
        operation: ``StartBuild`` of the JSON and query protocols; empty for REST.
        target: X-Amz-Target, e.g. ``CodeBuild_20161006.StartBuild``, or ``iam.CreateRole``
            for the query protocol; empty for REST.
        path: percent-decoded; ``raw_path`` is not.
        environ: the WSGI environment, with a fresh input stream over ``body``.
    """

    service: str
    region: str
    operation: str
    target: str
    method: str
    path: str
    raw_path: str
    query: MultiDict[str, str]
    headers: Headers
    body: bytes
    environ: dict[str, Any] = field(repr=False)

    @cached_property
    def access_key_id(self) -> str:
        """Access key id of the signature; empty for an unsigned request."""
        scope = self.headers.get("Authorization", "").partition("Credential=")[2]
        return (scope or self.query.get("X-Amz-Credential", "")).partition("/")[0]

    @cached_property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty for an empty body.

        Raises:
            ServiceError: SerializationException, the body is not a JSON object.
        """
        try:
            value = json.loads(self.body or b"{}")
        except ValueError as error:
            raise ServiceError("SerializationException", f"the body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise ServiceError("SerializationException", "the body is not a JSON object")
        return value


@dataclass(frozen=True)
class Response:
    """An HTTP response; a mapping as the body is sent as JSON."""

    status: int = 200
    body: bytes | str | Mapping[str, Any] = b""
    headers: Mapping[str, str] | list[tuple[str, str]] = field(default_factory=dict)

    def encoded(self) -> tuple[bytes, Headers]:
        """Body bytes and headers, with a request id and a content type."""
        headers = Headers(self.headers)
        headers.setdefault("x-amzn-RequestId", str(uuid.uuid4()))
        if isinstance(self.body, bytes):
            return self.body, headers
        if isinstance(self.body, str):
            return self.body.encode(), headers
        headers.setdefault("Content-Type", "application/json")
        return json.dumps(self.body, default=_timestamp).encode(), headers


def _timestamp(value: Any) -> Any:
    """Times in AWS's JSON protocols are seconds since 1970."""
    if hasattr(value, "timestamp"):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} is not JSON")


Operation = Callable[[Request], "Mapping[str, Any] | Response | None"]
RouteHandler = Callable[[Request, "re.Match[str]"], Response]


class Route(NamedTuple):
    """A REST operation: regular expression of the raw path; ``service`` None matches any signing name."""

    method: str  # "*" is any
    pattern: str
    handler: RouteHandler
    service: str | None = None


def render(result: Mapping[str, Any] | Response | None) -> Response:
    """Render an operation's result in AWS JSON 1.1."""
    if isinstance(result, Response):
        return result
    return Response(200, dict(result or {}), {"Content-Type": JSON_1_1})


def render_error(error: ServiceError, request: Request) -> Response:
    """Render an error in the request's protocol: AWS JSON, query XML or REST JSON."""
    headers = {"x-amzn-ErrorType": error.code}
    if request.headers.get("X-Amz-Target"):
        body = {"__type": error.code, "message": error.message}
        return Response(error.status, body, {**headers, "Content-Type": JSON_1_1})
    if request.service == "s3":
        xml = (
            f"<Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
            f"<Resource>{escape(request.path)}</Resource><RequestId>{uuid.uuid4()}</RequestId></Error>"
        )
        return Response(error.status, xml, {"Content-Type": "application/xml"})
    if request.operation and request.service == "ec2":
        xml = (
            f"<Response><Errors><Error><Code>{escape(error.code)}</Code>"
            f"<Message>{escape(error.message)}</Message></Error></Errors>"
            f"<RequestID>{uuid.uuid4()}</RequestID></Response>"
        )
        return Response(error.status, xml, {"Content-Type": "text/xml"})
    if request.operation:
        xml = (
            "<ErrorResponse><Error><Type>Sender</Type>"
            f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
            f"</Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
        )
        return Response(error.status, xml, {"Content-Type": "text/xml"})
    side = "User" if error.status < 500 else "Service"
    return Response(error.status, {"Type": side, "message": error.message, "Message": error.message}, headers)
