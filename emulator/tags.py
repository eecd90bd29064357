"""Tags of resources whose service moto implements without tags."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping


class Tags:
    """Tags by resource ARN."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tags: dict[str, dict[str, str]] = {}

    def of(self, arn: str) -> dict[str, str]:
        """Tags of a resource."""
        with self._lock:
            return dict(self._tags.get(arn, {}))

    def add(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags to a resource; a key that exists gets the new value."""
        with self._lock:
            self._tags.setdefault(arn, {}).update(tags)

    def remove(self, arn: str, keys: Iterable[str]) -> None:
        """Remove tags of a resource; keys that it does not have are ignored."""
        with self._lock:
            for key in keys:
                self._tags.get(arn, {}).pop(key, None)

    def forget(self, arn: str) -> None:
        """Remove all tags of a resource that is deleted."""
        with self._lock:
            self._tags.pop(arn, None)


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as a list of Key and Value."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def as_mapping(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Tags of a list of Key and Value."""
    return {tag["Key"]: tag["Value"] for tag in tags}
