"""Fake of SNS that keeps what is published, or refuses it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError


class FakeSns:
    """One topic."""

    def __init__(self) -> None:
        self.published: list[dict[str, str]] = []
        self.is_down = False

    def publish(self, **request: Any) -> None:
        if self.is_down:
            raise ClientError({"Error": {"Code": "InternalError", "Message": "down"}}, "Publish")
        self.published.append(request)
