"""Retry policies of pipeline steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.services.sagemaker.pipelines.scope import StepExecution

# Developer guide, "Retry Policy for Pipeline Steps"
DEFAULT_INTERVAL_S = 1
DEFAULT_BACKOFF_RATE = 2.0


def retry_delay_s(execution: StepExecution, exception_type: str | None, elapsed_s: float) -> float | None:
    """Delay before a failed step's next attempt; None when no policy allows one.

    Args:
        exception_type: of the failure, as retry policies name it.
        elapsed_s: time since the first attempt began.
    """
    policies = execution.step.raw.get("RetryPolicies", [])
    policy = next((each for each in policies if exception_type in each["ExceptionType"]), None)
    if policy is None or _is_exhausted(policy, execution.attempts, elapsed_s):
        return None
    interval_s = policy.get("IntervalSeconds", DEFAULT_INTERVAL_S)
    return interval_s * policy.get("BackoffRate", DEFAULT_BACKOFF_RATE) ** (execution.attempts - 1)


def _is_exhausted(policy: Mapping[str, Any], attempts: int, elapsed_s: float) -> bool:
    if attempts > policy.get("MaxAttempts", attempts):
        return True
    return elapsed_s > 60 * policy.get("ExpireAfterMin", elapsed_s)
