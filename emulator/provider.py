"""Base class of providers and the interfaces through which they use moto and each other.

moto's server keeps every resource and answers every request that no provider takes. A provider takes the
operations that have to run something (a function, a build) or that moto lacks.
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
    """Running half of one AWS service; subclasses override what they need."""

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
        """End what the provider runs; child processes have ended before."""
