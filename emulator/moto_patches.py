"""Changes to moto itself: the provider that needs one makes it, says why, and undoes it at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class MotoPatches:
    """Replaced attributes of moto's modules and classes."""

    def __init__(self) -> None:
        self._originals: list[tuple[Any, str, Any]] = []

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Sets ``owner.name`` to ``make(original)``."""
        original = getattr(owner, name)
        self._originals.append((owner, name, original))
        setattr(owner, name, make(original))

    def undo(self) -> None:
        """Puts every original back, the last first."""
        while self._originals:
            owner, name, original = self._originals.pop()
            setattr(owner, name, original)
