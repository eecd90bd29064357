"""Limits and rules of EventBridge that the service model does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from emulator import moto_state
from emulator.validation.constraints import Violation
from emulator.validation.event_templates import is_json, template_error
from emulator.wire import ServiceError

Parameters = Mapping[str, Any]
MAX_EVENTS_BYTES = 256 * 1024  # EventBridge user guide, "Calculating PutEvents event entry size"
EVENT_TIME_BYTES = 14  # the same page
MAX_EVENT_PATTERN = 2_048  # EventBridge quotas
MAX_TARGETS = 5  # EventBridge quotas, targets of a rule
INPUTS = ("Input", "InputPath", "InputTransformer")
# Targets that EventBridge calls with a role (user guide, "Amazon EventBridge targets", permissions).
WITH_ROLE = ("codebuild", "states", "kinesis", "ecs", "batch", "codepipeline", "sagemaker")


def _events(parameters: Parameters, _region: str) -> Iterator[Violation]:
    if sum(_entry_bytes(entry) for entry in parameters["Entries"]) > MAX_EVENTS_BYTES:
        raise ServiceError(
            "ValidationException", "Total size of the entries in the request is over the limit."
        )
    yield from ()


def _entry_bytes(entry: Mapping[str, Any]) -> int:
    texts = [
        *(entry.get(name) or "" for name in ("Source", "DetailType", "Detail")),
        *entry.get("Resources", []),
    ]
    return sum(len(text.encode()) for text in texts) + (EVENT_TIME_BYTES if entry.get("Time") else 0)


def _rule(parameters: Parameters, _region: str) -> Iterator[Violation]:
    pattern = parameters.get("EventPattern") or ""
    if len(pattern) > MAX_EVENT_PATTERN:
        text = f"Member must have length less than or equal to {MAX_EVENT_PATTERN}"
        yield Violation("eventPattern", "length", text, pattern)


def _targets(parameters: Parameters, region: str) -> Iterator[Violation]:
    bus = (parameters.get("EventBusName") or "default").rpartition("/")[2]
    found = moto_state.backend("events", region).event_buses.get(bus)
    rule = found.rules.get(parameters["Rule"]) if found else None
    for target in parameters["Targets"]:
        if reason := _target_error(target):
            raise ServiceError("ValidationException", reason)
    ids = {target["Id"] for target in [*(rule.targets if rule else []), *parameters["Targets"]]}
    if len(ids) > MAX_TARGETS:
        text = "The requested resource exceeds the maximum number allowed."
        raise ServiceError("LimitExceededException", text)
    yield from ()


def _target_error(target: Mapping[str, Any]) -> str | None:
    """Why PutTargets refuses a target (API reference, PutTargets and Target); None if it does not."""
    each, arn = target["Id"], target["Arn"]
    service = arn.split(":")[2] if arn.count(":") >= 5 else ""
    if service in WITH_ROLE and not target.get("RoleArn"):
        return f"RoleArn is required for target {arn}."
    if service == "sqs" and arn.endswith(".fifo") and not target.get("SqsParameters"):
        return f"Parameter(s) SqsParameters must be specified for target: {each}."
    return _input_error(target, each)


def _input_error(target: Mapping[str, Any], each: str) -> str | None:
    if sum(target.get(name) is not None for name in INPUTS) > 1:
        return f"Only one of {', '.join(INPUTS[:2])}, or {INPUTS[2]} must be provided for target {each}."
    if (constant := target.get("Input")) is not None and not is_json(constant):
        return f"JSON syntax error in input for target {each}."
    if transformer := target.get("InputTransformer"):
        names = transformer.get("InputPathsMap") or {}
        if reason := template_error(transformer["InputTemplate"], names):
            return f"InputTemplate for target {each} {reason}."
    return None


CHECKS = {
    ("events", "PutEvents"): (_events,),
    ("events", "PutRule"): (_rule,),
    ("events", "PutTargets"): (_targets,),
}
