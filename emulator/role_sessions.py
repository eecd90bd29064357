"""Credentials endpoints of containers and instances: how AWS gives a role's credentials to user code.

Containers (CodeBuild, SageMaker) read them from the container credentials endpoint, EC2 instances (EMR) from
the instance metadata service, version 2. The addresses of both, 169.254.170.2 and 169.254.169.254, are not
this machine's, so that the SDKs' variables for other addresses point at the emulator.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from emulator.environment import Credentials
from emulator.wire import Request, Response, Route, ServiceError

CONTAINERS = "/_aws/credentials"
INSTANCES = "/_aws/instances"
LIFETIME = timedelta(hours=1)
TOKEN_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"  # noqa: S105 - the name of a header
TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - the name of a header


@dataclass(frozen=True)
class RoleSession:
    """A role session of one container or instance.

    Attributes:
        id: last part of the endpoint's path; cannot be guessed.
        token: value that a container's requests have as their Authorization header.
    """

    role_arn: str
    name: str
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)


GetCredentials = Callable[[RoleSession], Credentials]
"""Temporary credentials of a role session."""


class RoleSessions:
    """Role sessions by id, and the routes of their endpoints."""

    def __init__(self, get_credentials: GetCredentials) -> None:
        self._get_credentials = get_credentials
        self._lock = threading.Lock()
        self._sessions: dict[str, RoleSession] = {}

    def open(self, role_arn: str, name: str) -> RoleSession:
        """New role session; the caller has checked that the role trusts the service."""
        session = RoleSession(role_arn, name)
        with self._lock:
            self._sessions[session.id] = session
        return session

    def routes(self) -> list[Route]:
        """Routes of both endpoints."""
        metadata = rf"{INSTANCES}/(?P<id>[\w-]+)/latest"
        roles = f"{metadata}/meta-data/iam/security-credentials"
        return [
            Route("GET", rf"{CONTAINERS}/(?P<id>[\w-]+)", self._container),
            Route("PUT", f"{metadata}/api/token", self._instance_token),
            Route("GET", f"{roles}/?", self._instance_role),
            Route("GET", rf"{roles}/(?P<role>[\w+=,.@-]+)", self._instance),
        ]

    def _find(self, match: re.Match[str]) -> RoleSession:
        with self._lock:
            session = self._sessions.get(match["id"])
        if session is None:
            raise ServiceError("NotFound", "no such role session", 404)
        return session

    def _container(self, request: Request, match: re.Match[str]) -> Response:
        session = self._find(match)
        if request.headers.get("Authorization") != session.token:
            raise ServiceError("AccessDenied", "the authorization token is not valid", 403)
        return Response(200, {"RoleArn": session.role_arn, **self._credentials(session)})

    def _instance_token(self, request: Request, match: re.Match[str]) -> Response:
        session = self._find(match)
        if TOKEN_TTL_HEADER not in request.headers:
            raise ServiceError("BadRequest", f"{TOKEN_TTL_HEADER} is missing", 400)
        return Response(200, session.token, {TOKEN_TTL_HEADER: request.headers[TOKEN_TTL_HEADER]})

    def _instance_role(self, request: Request, match: re.Match[str]) -> Response:
        return Response(200, self._authorised(request, match).role_arn.rpartition("/")[2])

    def _instance(self, request: Request, match: re.Match[str]) -> Response:
        session = self._authorised(request, match)
        now = datetime.now(UTC)
        head = {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
        return Response(200, {**head, **self._credentials(session)})

    def _authorised(self, request: Request, match: re.Match[str]) -> RoleSession:
        """Session of a request with a token: version 1 of the metadata service is turned off."""
        session = self._find(match)
        if request.headers.get(TOKEN_HEADER) != session.token:
            raise ServiceError("Unauthorized", f"{TOKEN_HEADER} is not valid", 401)
        return session

    def _credentials(self, session: RoleSession) -> dict[str, str]:
        found = self._get_credentials(session)
        return {
            "AccessKeyId": found.access_key_id,
            "SecretAccessKey": found.secret_access_key,
            "Token": found.session_token or "",
            "Expiration": f"{datetime.now(UTC) + LIFETIME:%Y-%m-%dT%H:%M:%SZ}",
        }
