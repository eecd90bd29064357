"""Access of the console to a stage: clients, stack outputs, and whether it may change the stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from requests.auth import AuthBase


class Source(Protocol):
    """Stage in the emulator or in an AWS account."""

    @property
    def stage(self) -> str:
        """Name of the stage."""

    @property
    def region(self) -> str:
        """AWS region of the stage."""

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Stack outputs."""

    @property
    def is_read_only(self) -> bool:
        """Whether the console refuses to approve and reject models."""

    @property
    def api_auth(self) -> AuthBase | None:
        """Signs requests to the stage's API; None if they are not signed."""

    def client(self, service: str) -> Any:
        """boto3 client; safe to use from several threads."""
