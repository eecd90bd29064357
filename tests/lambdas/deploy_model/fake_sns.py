"""Fake of SNS that keeps what is published, or refuses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError


class FakeSns:
    """One topic.

    Attributes:
        published: requests.
        is_down: Publish fails.
        meanwhile: called once, before the next message is published.
    """

    def __init__(self) -> None:
        self.published: list[dict[str, str]] = []
        self.is_down = False
        self.meanwhile: Callable[[], object] | None = None

    def publish(self, **request: Any) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if self.is_down:
            raise ClientError({"Error": {"Code": "InternalError", "Message": "down"}}, "Publish")
        self.published.append(request)
