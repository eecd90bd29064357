"""Errors of SageMaker's API."""

from __future__ import annotations

from emulator.wire import ServiceError

MAX_FAILURE_REASON = 1024  # API reference, FailureReason


def invalid(message: str) -> ServiceError:
    """Error for a request that SageMaker does not accept."""
    return ServiceError("ValidationException", message)


def not_emulated(feature: str) -> ServiceError:
    """Error for a request that SageMaker accepts and the emulator cannot run."""
    return ServiceError("ValidationException", f"{feature} is not emulated")
