"""The inputs of one resource, as a view that remembers which of them its creator used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from local.deploy import readback
from local.deploy.errors import MissingInputError


class Inputs:
    """Decoded inputs by wire name (camelCase). Reading a key marks it as used.

    Nested objects are views of their own (`block`, `blocks`), so that what is left unused inside
    them shows too; `plain` hands over a whole value that the creator passes on as it is.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {key: value for key, value in values.items() if value is not None}
        self._used: set[str] = set()
        self._blocks: dict[str, list[Inputs]] = {}
        self.dropped: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> Any:
        """A scalar, an asset, or a list of scalars.

        Raises:
            MissingInputError: the program does not give it.
        """
        if key not in self._values:
            raise MissingInputError(key)
        return self.get(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The same, or the default where the program does not give it."""
        value = self._values.get(key, default)
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict) for v in value)):
            raise TypeError(f"{key} is nested: read it with block, blocks or plain")
        self._used.add(key)
        return value

    def plain(self, key: str, default: Any = None) -> Any:
        """A whole value, whatever is in it: for maps and documents that pass through unread."""
        self._used.add(key)
        return self._values.get(key, default)

    def block(self, key: str) -> Inputs | None:
        """A nested object, or None."""
        found = self.blocks(key)
        return found[0] if found else None

    def blocks(self, key: str) -> list[Inputs]:
        """Nested objects: those of a list, or the single one."""
        if key in self._values and key not in self._blocks:
            value = self._values[key]
            items = value if isinstance(value, list) else [value]
            self._blocks[key] = [Inputs(item) for item in items]
            self._used.add(key)
        return self._blocks.get(key, [])

    def pick(self, names: Mapping[str, str]) -> dict[str, Any]:
        """The given scalars under the names of an API: `{"memorySize": "MemorySize"}`."""
        return {target: self.get(key) for key, target in names.items() if key in self._values}

    def compare(self, sent: Mapping[str, Any], read: Mapping[str, Any]) -> None:
        """Note what the emulator does not give back as it was sent.

        Args:
            sent: parameters of the call that created the resource.
            read: the resource as the service describes it.
        """
        self.dropped += readback.differences(sent, read)

    def unused(self) -> list[str]:
        """The paths of the inputs that nobody read, such as `rules[0].prefix`."""
        return sorted(self._unused())

    def _unused(self) -> Iterator[str]:
        yield from self._values.keys() - self._used
        for key, blocks in self._blocks.items():
            is_list = isinstance(self._values[key], list)
            for index, block in enumerate(blocks):
                prefix = f"{key}[{index}]" if is_list else key
                yield from (f"{prefix}.{path}" for path in block._unused())
