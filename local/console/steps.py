"""Steps of a run on the console, each from the service that ran it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Status = Literal["waiting", "running", "succeeded", "failed", "rejected", "needs approval"]

CLUSTER_STATUS: Mapping[str, Status] = {  # EMR API, StepStatus
    "PENDING": "running",
    "RUNNING": "running",
    "COMPLETED": "succeeded",
    "CANCEL_PENDING": "failed",
    "CANCELLED": "failed",
    "FAILED": "failed",
    "INTERRUPTED": "failed",
}
PIPELINE_STATUS: Mapping[str, Status] = {  # SageMaker API, PipelineExecutionStep
    "Starting": "running",
    "Executing": "running",
    "Stopping": "running",
    "Succeeded": "succeeded",
    "Failed": "failed",
    "Stopped": "failed",
}
BUILD_STATUS: Mapping[str, Status] = {"IN_PROGRESS": "running", "SUCCEEDED": "succeeded"}  # others: failed
DEPLOYMENT_STATUS: Mapping[str, Status] = {"Deployed": "succeeded", "RolledBack": "failed"}  # by deploy_model
DEPLOYMENT_DETAIL = {
    "RolledBack": "the endpoint went back to its previous model",
    "Waiting": "waits for another rollout",
}


@dataclass(frozen=True)
class StepView:
    """One step of a run.

    Attributes:
        name: unique within the run.
        service: that runs it.
        status: `waiting` until it begins.
        started, ended: UTC; None if unknown or not yet.
        detail: reason of a failure, or what it waits for.
    """

    name: str
    service: str
    status: Status = "waiting"
    started: datetime | None = None
    ended: datetime | None = None
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        seconds = None
        if self.started is not None:
            seconds = ((self.ended or datetime.now(UTC)) - self.started).total_seconds()
        return {
            "name": self.name,
            "service": self.service,
            "status": self.status,
            "started": _iso(self.started),
            "ended": _iso(self.ended),
            "seconds": None if seconds is None else round(max(0.0, seconds), 1),
            "detail": self.detail,
        }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")
