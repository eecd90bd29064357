"""One time that a schedule was due."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Invocation:
    """One time that a schedule was due, and the attempts to call its target."""

    schedule_arn: str
    target: Mapping[str, Any]
    due: datetime
    region: str
    attempt: int = 1
    started: float = field(default_factory=time.monotonic)
    execution_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def payload(self) -> str:
        """The input with its context attributes in place; without one, the scheduled event."""
        if "Input" not in self.target:
            return json.dumps(self._event())
        text = str(self.target["Input"])
        for name, value in {
            "schedule-arn": self.schedule_arn,
            "scheduled-time": _iso(self.due),
            "execution-id": self.execution_id,
            "attempt-number": str(self.attempt),
        }.items():
            text = text.replace(f"<aws.scheduler.{name}>", value)
        return text

    def _event(self) -> dict[str, Any]:
        return {
            "version": "0",
            "id": self.execution_id,
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": self.schedule_arn.split(":")[4],
            "time": _iso(self.due),
            "region": self.region,
            "resources": [self.schedule_arn],
            "detail": "{}",
        }

    def dead_letter_attributes(self, code: str, message: str, exhausted: str) -> dict[str, dict[str, str]]:
        """What a dead letter says beside the input."""
        attributes = {
            "ERROR_CODE": code,
            "ERROR_MESSAGE": message[:1024],
            "EXECUTION_ID": self.execution_id,
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(self.attempt - 1),
            "SCHEDULED_TIME": _iso(self.due),
            "SCHEDULE_ARN": self.schedule_arn,
            "TARGET_ARN": self.target["Arn"],
        }
        if exhausted:
            attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
        return {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
