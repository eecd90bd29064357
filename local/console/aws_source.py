"""A stage in an AWS account, read with the credentials of the person who runs the console.

Does not import `emulator`, which removes the user's AWS settings from the process.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from requests import PreparedRequest
from requests.auth import AuthBase

from local.errors import BadInputError

PULUMI_TIMEOUT_S = 120
CLIENT_CONFIG = Config(
    connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 4, "mode": "standard"}
)
API_SERVICE = "execute-api"  # signing name of API Gateway


@dataclass(frozen=True)
class AwsSource:
    """Read-only source of the console."""

    stage: str
    region: str
    outputs: Mapping[str, Any]
    is_read_only: bool = field(default=True, init=False)

    def client(self, service: str) -> Any:
        with self._lock:  # boto3 sessions are not thread-safe; clients are
            if service not in self._clients:
                self._clients[service] = self._session.client(service, config=CLIENT_CONFIG)
            return self._clients[service]

    @cached_property
    def api_auth(self) -> AuthBase:
        return SignedByUser(self._session, self.region)

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(region_name=self.region)

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _lock(self) -> threading.Lock:
        return threading.Lock()


class SignedByUser(AuthBase):
    """SigV4 signature of requests to an API with IAM authorization."""

    def __init__(self, session: boto3.Session, region: str) -> None:
        self._session = session
        self._region = region

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the signature's headers.

        Raises:
            BadInputError: the session has no credentials.
        """
        credentials = self._session.get_credentials()
        if credentials is None:
            raise BadInputError("no AWS credentials: set AWS_PROFILE, or run `aws sso login`")
        signed = AWSRequest(
            method=request.method,
            url=request.url,
            data=request.body,
            headers={"Content-Type": request.headers["Content-Type"]}
            if "Content-Type" in request.headers
            else {},
        )
        SigV4Auth(credentials.get_frozen_credentials(), API_SERVICE, self._region).add_auth(signed)
        request.headers.update(dict(signed.headers))
        return request


def aws_source(stage: str, outputs: Path | None) -> AwsSource:
    """The source of a stage, from a file of its stack outputs or from the Pulumi CLI.

    Args:
        stage: Pulumi stack.
        outputs: output of `pulumi stack output --json`; None: run that command.

    Raises:
        BadInputError: there are no such outputs.
    """
    text = _pulumi_outputs(stage) if outputs is None else _read(outputs)
    origin = "pulumi stack output" if outputs is None else str(outputs)
    try:
        found = json.loads(text)
        region = found["kms_key_arn"].split(":")[3]
    except (ValueError, TypeError, KeyError, IndexError):
        raise BadInputError(
            f"{origin}: expected the output of `pulumi stack output --json --stack {stage}`"
        ) from None
    return AwsSource(stage, region, found)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None


def _pulumi_outputs(stage: str) -> str:
    command = ["pulumi", "stack", "output", "--json", "--stack", stage]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PULUMI_TIMEOUT_S)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise BadInputError(
            f"{' '.join(command)}: {error}; give the outputs with --outputs FILE instead"
        ) from None
    if done.returncode:
        raise BadInputError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
