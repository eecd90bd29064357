"""What a provider is: the running half of one AWS service.

moto's server keeps every resource and answers every request that no provider takes. A provider takes the
operations that must *do* something (run a function, start a build) or that moto lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.wire import Operation, Route

if TYPE_CHECKING:
    from emulator.app import Emulator


class Provider:
    """The running half of one service; a subclass overrides what it has."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def operations(self) -> dict[str, Operation]:
        """Handlers by X-Amz-Target. They may call ``emulator.forward(request)`` for moto's own answer."""
        return {}

    def routes(self) -> list[Route]:
        """Handlers of REST services."""
        return []

    def before_moto(self) -> None:
        """Called on a request's thread before moto answers it."""

    def after_moto(self) -> None:
        """Called on the same thread once moto has answered."""

    def close(self) -> None:
        """Ends what the provider runs; children are ended by ``emulator.processes``."""
