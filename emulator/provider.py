"""Base class of providers and the interfaces through which they use moto and each other.

moto's server stores every resource and answers every request that no provider handles. A provider handles the
operations that run code (a function, a build) or that moto does not implement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from emulator.wire import Operation, Request, Response, Route

Forward = Callable[[Request], Response]
"""Answers a request with moto."""


class EmitEvent(Protocol):
    """Sends an event of an AWS service to the default event bus of a region."""

    def __call__(
        self,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Iterable[str],
        region: str,
    ) -> None: ...


class FunctionResult(Protocol):
    """Result of a synchronous invocation: JSON payload, and the FunctionError or an empty string."""

    @property
    def payload(self) -> str: ...

    @property
    def error(self) -> str: ...


class InvokeFunction(Protocol):
    """Invokes one of moto's Lambda functions with a JSON payload and waits for the result."""

    def __call__(self, function: Any, payload: str) -> FunctionResult: ...


class Provider:
    """Base class of the provider of one AWS service; every method has a default."""

    def operations(self) -> dict[str, Operation]:
        """Handlers by X-Amz-Target."""
        return {}

    def routes(self) -> list[Route]:
        """Handlers of REST operations."""
        return []

    def around_moto(self) -> AbstractContextManager[None]:
        """Context in which moto answers a request, on the request's thread."""
        return nullcontext()

    def close(self) -> None:
        """Stop threads and undo patches of moto; child processes have ended by then."""
