"""Patches of moto, which providers apply when they start and undo when they close."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class MotoPatches:
    """Replaced attributes of moto's modules and classes."""

    def __init__(self) -> None:
        self._originals: list[tuple[Any, str, Any]] = []

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Set ``owner.name`` to ``make(original)``."""
        original = getattr(owner, name)
        self._originals.append((owner, name, original))
        setattr(owner, name, make(original))

    def undo(self) -> None:
        """Restore every original, in reverse order."""
        while self._originals:
            owner, name, original = self._originals.pop()
            setattr(owner, name, original)
