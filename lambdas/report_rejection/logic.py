"""Comparison of a rejected candidate with floors and champion, and its notification, without AWS calls."""

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
        floors, tolerance: thresholds of the gate by metric.
    """

    run_id: str
    report_uri: str
    report_bucket: str
    report_key: str
    floors: Mapping[str, float]
    tolerance: Mapping[str, float]


def rejection_of(event: Mapping[str, Any]) -> Rejection:
    """Parse the arguments of the pipeline step.

    Raises:
        EventError: an argument is missing or invalid.
    """
    try:
        run_id, found = event["run_id"], REPORT_URI.fullmatch(event["report_uri"])
        floors, tolerance = dict(json.loads(event["floors"])), dict(json.loads(event["tolerance"]))
    except KeyError as error:
        raise EventError(f"event: {error.args[0]} is missing") from None
    except (TypeError, ValueError) as error:
        raise EventError(f"event: not the arguments of the step ({error})") from None
    if found is None:
        raise EventError(f"event: report_uri is {event['report_uri']!r}: expected the URI of an S3 object")
    if set(floors) != set(tolerance):
        raise EventError("event: floors and tolerance are of different metrics")
    return Rejection(run_id, event["report_uri"], found["bucket"], found["key"], floors, tolerance)


def comparison(rejection: Rejection, content: bytes) -> str:
    """One line per metric of the gate: candidate, floor, champion, change and tolerance; then the memory.

    Raises:
        EventError: the report is not valid.
    """
    try:
        report = json.loads(content)
        lines = [*(_line(rejection, report, metric) for metric in rejection.floors), *_memory(report)]
        return "\n".join(lines)[:MAX_SUMMARY]
    except (KeyError, TypeError, ValueError) as error:
        raise EventError(f"{rejection.report_uri}: not an evaluation report ({error!r})") from None


def _line(rejection: Rejection, report: Mapping[str, Any], metric: str) -> str:
    floor, tolerance = rejection.floors[metric], rejection.tolerance[metric]
    reached, change = report["model"][metric], report["change"][metric]
    compared = f"{metric} {reached:.4f}, floor {floor:.4f}: {_verdict(reached >= floor)}"
    if report["champion"] is None:
        return f"{compared}; no champion"
    champion = report["champion"][metric]
    return (
        f"{compared}; champion {champion:.4f}, change {change:+.4f}, tolerance {tolerance:.4f}: "
        f"{_verdict(change >= -tolerance)}"
    )


def _memory(report: Mapping[str, Any]) -> list[str]:
    """A line for a model that does not fit the endpoint's instance."""
    serving = report.get("serving")  # reports of earlier code have none
    if not serving or serving["free_mib"] >= 0:
        return []
    needed = f"memory {serving['needed_mib']} MiB with {serving['workers']} workers"
    available = f"{serving['instance_type']} has {serving['memory_mib']} MiB"
    return [f"{needed}, {available}: FAILED; write a larger serving.instance_type in the stage file"]


def _verdict(passed: bool) -> str:
    return "passed" if passed else "FAILED"


def notification(stage: str, rejection: Rejection, lines: str) -> dict[str, str]:
    """``Subject`` and ``Message`` of the notification."""
    return {
        "Subject": f"NCF {stage}: candidate of run {rejection.run_id} not better"[:MAX_SUBJECT],
        "Message": f"Run {rejection.run_id}: the candidate failed the quality gate and was not registered. "
        "The endpoint keeps its model; nothing has to be done.\n\n"
        f"{lines}\n\nReport: {rejection.report_uri}",
    }
