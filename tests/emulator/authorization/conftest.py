"""Fixtures of the authorisation tests: one emulator, and clients with a role's credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emulator.app import PROVIDERS, Emulator
from tests.emulator.support import make_bucket, make_role

RoleClient = Callable[..., Any]
"""Creates a role with these statements and returns a client with its credentials: (service, *statements)."""


@pytest.fixture(scope="package")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Running emulator with a bucket, ``data``."""
    with Emulator(root=tmp_path_factory.mktemp("emulator"), providers=PROVIDERS).start() as running:
        make_bucket(running, "data", versions=True)
        running.client("s3").put_object(Bucket="data", Key="in/a", Body=b"a")
        yield running


@pytest.fixture
def role_name(request: pytest.FixtureRequest) -> str:
    """Name of the test's role."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)[-50:]


@pytest.fixture
def role_client(emulator: Emulator, role_name: str) -> RoleClient:
    """Factory of clients with the credentials of the test's role."""

    def make(service: str, *statements: dict[str, Any], trusted: str = "lambda.amazonaws.com") -> Any:
        arn = make_role(emulator, role_name, trusted, *statements)
        return emulator.host.role_client(service, emulator.region, arn, "test")

    return make


def allow(actions: str | list[str], resources: str | list[str] = "*", **condition: Any) -> dict[str, Any]:
    """Allow statement."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement
