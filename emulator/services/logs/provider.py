"""CloudWatch Logs provider: the class of log groups, which moto does not keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.logs.models import LogGroup

from emulator.moto_patches import MotoPatches
from emulator.provider import Forward, Provider
from emulator.wire import Operation, Request, Response

TARGET = "Logs_20140328"
DEFAULT_CLASS = "STANDARD"  # API reference, CreateLogGroup


class LogsProvider(Provider):
    """Class of log groups in DescribeLogGroups."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._classes: dict[tuple[str, str], str] = {}  # (region, group)
        self._patches = MotoPatches()
        self._patches.replace(LogGroup, "to_describe_dict", self._make_describe)

    def operations(self) -> dict[str, Operation]:
        """CreateLogGroup."""
        return {f"{TARGET}.CreateLogGroup": self._create}

    def close(self) -> None:
        """Undo the patch of moto."""
        self._patches.undo()

    def _create(self, request: Request) -> Response:
        response = self._forward(request)
        if response.status == 200:
            key = (request.region, request.json["logGroupName"])
            self._classes[key] = request.json.get("logGroupClass", DEFAULT_CLASS)
        return response

    def _make_describe(self, original: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
        def describe(group: Any) -> dict[str, Any]:
            log_class = self._classes.get((group.region, group.name), DEFAULT_CLASS)
            return {
                **original(group),
                "logGroupClass": log_class,
                "deletionProtectionEnabled": False,
            }

        return describe
