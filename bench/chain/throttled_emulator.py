"""Emulator that refuses a share of the requests of roles, as a service over its request rate does."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from emulator.app import Emulator
from emulator.environment import ACCESS_KEY_ID
from emulator.wire import Request, Response, ServiceError

MESSAGE = "Rate exceeded"


class ThrottledEmulator(Emulator):
    """Emulator with throttling.

    Attributes:
        throttled_share: share of the requests with credentials of a role that are refused.
    """

    throttled_share = 0.0
    generator = random.Random(0)  # noqa: S311 - faults, no secrets

    def dispatch(self, request: Request) -> Response:
        """Answer a request, or refuse it."""
        is_of_role = request.access_key_id not in ("", ACCESS_KEY_ID)
        if is_of_role and self.generator.random() < self.throttled_share:
            if request.service == "s3":
                raise ServiceError("SlowDown", MESSAGE, 503)
            raise ServiceError("ThrottlingException", MESSAGE)
        return super().dispatch(request)

    def send_event(self, source: str, detail_type: str, detail: Mapping[str, Any]) -> None:
        """Send an event of an AWS service to the rules of the default region."""
        self._emit(source, detail_type, detail, [], self.region)
