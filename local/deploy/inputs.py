"""Inputs of a resource that record which keys its creator reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from local.deploy import readback
from local.deploy.errors import MissingInputError


class Inputs:
    """Decoded inputs by wire name (camelCase); reading a key marks it as used.

    Nested objects are `Inputs` too (`block`, `blocks`), so that unused keys are found at every depth.
    `plain` returns a value of any depth and marks all of it as used.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {key: value for key, value in values.items() if value is not None}
        self._used: set[str] = set()
        self._blocks: dict[str, list[Inputs]] = {}
        self.dropped: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> Any:
        """A required scalar, asset, or list of scalars.

        Raises:
            MissingInputError: the program does not set it.
        """
        if key not in self._values:
            raise MissingInputError(key)
        return self.get(key)

    def get(self, key: str, default: Any = None) -> Any:
        """An optional scalar, asset, or list of scalars."""
        value = self._values.get(key, default)
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict) for v in value)):
            raise TypeError(f"{key} is nested: read it with block, blocks or plain")
        self._used.add(key)
        return value

    def plain(self, key: str, default: Any = None) -> Any:
        """A value of any depth, for maps and documents that are passed on unchanged."""
        self._used.add(key)
        return self._values.get(key, default)

    def block(self, key: str) -> Inputs | None:
        """An optional nested object."""
        found = self.blocks(key)
        return found[0] if found else None

    def required_block(self, key: str) -> Inputs:
        """A required nested object.

        Raises:
            MissingInputError: the program does not set it.
        """
        block = self.block(key)
        if block is None:
            raise MissingInputError(key)
        return block

    def blocks(self, key: str) -> list[Inputs]:
        """Nested objects of a list, or a single nested object as a list."""
        if key in self._values and key not in self._blocks:
            value = self._values[key]
            items = value if isinstance(value, list) else [value]
            self._blocks[key] = [Inputs(item) for item in items]
            self._used.add(key)
        return self._blocks.get(key, [])

    def pick(self, names: Mapping[str, str]) -> dict[str, Any]:
        """The scalars that are set, renamed to API parameters, such as `{"memorySize": "MemorySize"}`."""
        return {target: self.get(key) for key, target in names.items() if key in self._values}

    def compare(self, sent: Mapping[str, Any], read: Mapping[str, Any]) -> None:
        """Record the parameters that the service does not return as sent.

        Args:
            sent: parameters of the request that created the resource.
            read: description of the resource by the service.
        """
        self.dropped += readback.differences(sent, read)

    def unused(self) -> list[str]:
        """Paths of the inputs that were not read, such as `rules[0].prefix`."""
        return sorted(self._unused())

    def _unused(self) -> Iterator[str]:
        yield from self._values.keys() - self._used
        for key, blocks in self._blocks.items():
            is_list = isinstance(self._values[key], list)
            for index, block in enumerate(blocks):
                prefix = f"{key}[{index}]" if is_list else key
                yield from (f"{prefix}.{path}" for path in block._unused())
