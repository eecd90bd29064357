"""Clients that send what boto3 would refuse, and signed requests without a client."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from emulator.app import Emulator

NO_CHECKS = Config(parameter_validation=False, retries={"total_max_attempts": 1})


def client(emulator: Emulator, service: str) -> Any:
    """boto3 client that does not validate parameters."""
    return boto3.client(
        service,
        region_name=emulator.region,
        endpoint_url=emulator.url,
        aws_access_key_id="tests",
        aws_secret_access_key="tests",
        config=NO_CHECKS,
    )


def refusal(emulator: Emulator, service: str, operation: str, **parameters: Any) -> tuple[str, str]:
    """(code, message) of the error of a call; ("", "") if the call succeeds."""
    api = client(emulator, service)
    try:
        getattr(api, operation)(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    return "", ""


def post_json(emulator: Emulator, service: str, target: str, body: Any) -> tuple[int, dict[str, Any]]:
    """(status, body) of a signed request of the JSON protocol."""
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    status, content = send(emulator, service, "POST", "/", body=json.dumps(body).encode(), headers=headers)
    return status, json.loads(content)


def send(
    emulator: Emulator, service: str, method: str, path: str, *, body: bytes, headers: dict[str, str]
) -> tuple[int, bytes]:
    """(status, body) of a signed request."""
    scope = f"Credential=AKIA/20261123/{emulator.region}/{service}/aws4_request"
    signed = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0", **headers}
    connection = http.client.HTTPConnection(urlsplit(emulator.url).netloc, timeout=10)
    try:
        connection.request(method, path, body, signed)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
