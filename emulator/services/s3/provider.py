"""S3: atomic conditional writes, and EventBridge notifications in bucket configurations.

Bucket policies are stored but not enforced: moto ignores conditions other than StringEquals, so the usual
Deny statement for plain HTTP would deny every request.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

from emulator.moto_patches import MotoPatches
from emulator.provider import Forward, Provider
from emulator.wire import Request, Response, Route


class S3Provider(Provider):
    """Makes conditional writes atomic; moto checks for the object and stores it in two steps."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._lock = threading.Lock()
        self._patches = MotoPatches()
        self._patches.replace(FakeBucket, "get_permission", lambda _: _no_policy_decision)
        self._patches.replace(S3Response, "get_bucket_notification", _make_get_bucket_notification)

    def close(self) -> None:
        """Undo the patches of moto."""
        self._patches.undo()

    def routes(self) -> list[Route]:
        """Every PUT; conditional ones are recognised by their headers."""
        return [Route("PUT", "/.*", self._put, "s3")]

    def _put(self, request: Request, match: re.Match[str]) -> Response:
        del match
        if "If-None-Match" in request.headers or "If-Match" in request.headers:
            with self._lock:
                return self._forward(request)
        return self._forward(request)


def _no_policy_decision(_bucket: FakeBucket, _action: str, _resource: str) -> PermissionResult:
    """Replaces the evaluation of the bucket policy; see the module's docstring."""
    return PermissionResult.NEUTRAL


def _make_get_bucket_notification(original: Callable[[S3Response], Any]) -> Callable[[S3Response], Any]:
    """Include EventBridgeConfiguration, which moto stores but leaves out of the response."""

    def get_bucket_notification(self: S3Response) -> Any:
        status, headers, body = original(self)
        kept = self.backend.get_bucket_notification_configuration(self.bucket_name)
        if kept is not None and kept.event_bridge is not None:
            end = "</NotificationConfiguration>"
            whole = f"{body.removesuffix('/>')}>{end}" if body.endswith("/>") else body
            body = whole.replace(end, f"<EventBridgeConfiguration/>{end}")
        return status, headers, body

    return get_bucket_notification
