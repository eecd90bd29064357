"""KMS provider: rotation of keys with its period and next date, as GetKeyRotationStatus returns it."""

from __future__ import annotations

import json
import time
from typing import Any

from emulator import moto_state
from emulator.host import Host
from emulator.provider import Forward, Provider
from emulator.wire import Operation, Request, Response

TARGET = "TrentService"
DEFAULT_PERIOD_DAYS = 365  # API reference, EnableKeyRotation: RotationPeriodInDays
DAY_S = 86_400


class KmsProvider(Provider):
    """Rotation settings of keys; moto keeps only whether rotation is on. No key is rotated."""

    def __init__(self, host: Host, forward: Forward) -> None:
        self._host = host
        self._forward = forward
        self._rotations: dict[str, tuple[int, float]] = {}  # key ARN: period in days, time it was enabled

    def operations(self) -> dict[str, Operation]:
        """Operations on key rotation, and DescribeKey."""
        return {
            f"{TARGET}.EnableKeyRotation": self._enable,
            f"{TARGET}.GetKeyRotationStatus": self._status,
            f"{TARGET}.DescribeKey": self._describe,
        }

    def _enable(self, request: Request) -> Response:
        response = self._forward(request)
        if response.status == 200:
            period = request.json.get("RotationPeriodInDays", DEFAULT_PERIOD_DAYS)
            self._rotations[self._key(request).arn] = (period, time.time())
        return response

    def _status(self, request: Request) -> Response | dict[str, Any]:
        response = self._forward(request)
        if response.status != 200:
            return response
        key = self._key(request)
        if not key.key_rotation_status:
            return {"KeyId": key.arn, "KeyRotationEnabled": False}
        period, enabled = self._rotations[key.arn]
        return {
            "KeyId": key.arn,
            "KeyRotationEnabled": True,
            "RotationPeriodInDays": period,
            "NextRotationDate": enabled + period * DAY_S,
        }

    def _describe(self, request: Request) -> Response | dict[str, Any]:
        response = self._forward(request)
        if response.status != 200:
            return response
        described: dict[str, Any] = json.loads(response.encoded()[0])
        metadata = described["KeyMetadata"]
        metadata["MultiRegion"] = bool(metadata.get("MultiRegion"))
        return described

    def _key(self, request: Request) -> Any:
        """moto's key of a request that moto has accepted."""
        backend = moto_state.backend("kms", request.region)
        return backend.keys[backend.get_key_id(request.json["KeyId"])]
