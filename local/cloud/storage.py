"""S3: what moto keeps, with conditional writes that two requests at once can't both win."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

from local.cloud.plane import Plane, Request, Response, Route

if TYPE_CHECKING:
    from local.cloud.server import Cloud


class StoragePlane(Plane):
    """moto looks for the object and then stores it; the service does both as one."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        """Every PUT, for the header's sake."""
        return [Route("PUT", "/.*", self._put, "s3")]

    def _put(self, request: Request, match: re.Match[str]) -> Response:
        del match
        if "If-None-Match" in request.headers or "If-Match" in request.headers:
            with self._lock:
                return self.cloud.forward(request)
        return self.cloud.forward(request)
