"""Decision of the quality gate against a candidate, and its notification, without AWS calls."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_SUBJECT = 100  # SNS API, Publish
MAX_SUMMARY = 1024  # SageMaker API, OutputParameter.Value
REPORT_URI = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)")


class EventError(ValueError):
    """The event or the evaluation report is invalid; the message names the field."""


@dataclass(frozen=True)
class Rejection:
    """Candidate that failed the quality gate, from the arguments of the pipeline step.

    Attributes:
        report_bucket, report_key: location of ``evaluation.json``.
    """

    run_id: str
    report_uri: str
    report_bucket: str
    report_key: str


@dataclass(frozen=True)
class Decision:
    """Decision in an evaluation report: the reason, and a line per metric of the gate."""

    reason: str
    lines: str


def rejection_of(event: Mapping[str, Any]) -> Rejection:
    """Parse the arguments of the pipeline step.

    Raises:
        EventError: an argument is missing or invalid.
    """
    try:
        run_id, found = event["run_id"], REPORT_URI.fullmatch(event["report_uri"])
    except KeyError as error:
        raise EventError(f"event: {error.args[0]} is missing") from None
    except (TypeError, ValueError) as error:
        raise EventError(f"event: not the arguments of the step ({error})") from None
    if found is None:
        raise EventError(f"event: report_uri is {event['report_uri']!r}: expected the URI of an S3 object")
    return Rejection(run_id, event["report_uri"], found["bucket"], found["key"])


def decision_of(rejection: Rejection, content: bytes) -> Decision:
    """The decision in a report: metrics, floors, champion, change with its bounds, and tolerance.

    Raises:
        EventError: the report is not valid.
    """
    try:
        report = json.loads(content)
        reason, lines = str(report["gate"]["decision"]), [str(line) for line in report["gate"]["lines"]]
        memory = _memory(report)
        if memory:
            reason = f"rejected: the model does not fit the endpoint's instance; its metrics: {reason}"
        return Decision(reason, "\n".join([*lines, *memory])[:MAX_SUMMARY])
    except (KeyError, TypeError, ValueError) as error:
        raise EventError(f"{rejection.report_uri}: not an evaluation report ({error!r})") from None


def _memory(report: Mapping[str, Any]) -> list[str]:
    """A line for a model that does not fit the endpoint's instance."""
    serving = report.get("serving")  # reports of earlier code have none
    if not serving or serving["free_mib"] >= 0:
        return []
    needed = f"memory {serving['needed_mib']} MiB with {serving['workers']} workers"
    available = f"{serving['instance_type']} has {serving['memory_mib']} MiB"
    return [f"{needed}, {available}: FAILED; write a larger serving.instance_type in the stage file"]


def notification(stage: str, rejection: Rejection, decision: Decision) -> dict[str, str]:
    """``Subject`` and ``Message`` of the notification."""
    return {
        "Subject": f"NCF {stage}: candidate of run {rejection.run_id} not better"[:MAX_SUBJECT],
        "Message": f"Run {rejection.run_id}: the candidate failed the quality gate and was not registered. "
        "The endpoint keeps its model; nothing has to be done.\n\n"
        f"{decision.reason}\n{decision.lines}\n\nReport: {rejection.report_uri}",
    }
