"""SageMaker's events on the default event bus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from emulator.provider import EmitEvent
from emulator.region import Region
from emulator.services.sagemaker.background import log_exception

SOURCE = "aws.sagemaker"


@dataclass(frozen=True)
class EventPublisher:
    """Publishes SageMaker's events in one region."""

    region: Region
    emit: EmitEvent

    def publish(self, detail_type: str, detail: Mapping[str, Any], resources: Iterable[str]) -> None:
        """Send an event; a failure is logged and not raised."""
        if self.region.host.closing:
            return
        try:
            self.emit(SOURCE, detail_type, to_detail(detail), resources, self.region.name)
        except Exception:
            log_exception(self.region.host, detail_type)


def to_detail(value: Any) -> Any:
    """Convert a description to an event's detail: times in milliseconds since 1970, no None values."""
    if isinstance(value, Mapping):
        return {key: to_detail(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [to_detail(item) for item in value]
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    return value


def tag_map(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Tags as a mapping of key to value, as events contain them."""
    return {tag["Key"]: tag["Value"] for tag in tags or ()}
