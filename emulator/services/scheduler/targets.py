"""API call of a schedule, from its target and input.

EventBridge Scheduler user guide, "Managing targets": universal targets name any operation, templated ones a
function, a queue or a topic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.model import ServiceModel

UNIVERSAL = "arn:aws:scheduler:::aws-sdk:"
# Prefixes of read-only actions, from the user guide.
READ_ONLY = (
    *("get", "describe", "list", "poll", "receive", "search", "scan", "query", "select", "read", "lookup"),
    *("discover", "validate", "batchGet", "batchDescribe", "batchRead", "transactGet", "adminGet"),
    *("adminList", "testMigration", "retrieve", "testConnection", "translateDocument", "isAuthorized"),
    "invokeModel",
)
_models = botocore.session.Session()


class TargetError(ValueError):
    """Invalid target, or an input that is invalid for the target's operation."""


@dataclass(frozen=True)
class TargetCall:
    """One API call.

    Attributes:
        service, method: of boto3.
        action: IAM action, for the log.
    """

    service: str
    method: str
    parameters: Mapping[str, Any]
    action: str


@dataclass(frozen=True)
class Target:
    """Target of a schedule: its operation, and parameters from the input."""

    arn: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.call("{}")

    def call(self, payload: str) -> TargetCall:
        """The call for an input (JSON).

        Raises:
            TargetError: the operation does not exist, or the input is invalid for it.
        """
        if self.arn.startswith(UNIVERSAL):
            return _universal_call(self.arn.removeprefix(UNIVERSAL), payload)
        match self.arn.split(":", 5):
            case _, _, "lambda", _, _, _:
                parameters = {"FunctionName": self.arn, "InvocationType": "Event", "Payload": payload}
                return TargetCall("lambda", "invoke", parameters, "lambda:InvokeFunction")
            case _, _, "sqs", region, account, name:
                url = f"https://sqs.{region}.amazonaws.com/{account}/{name}"
                parameters = {
                    "QueueUrl": url,
                    "MessageBody": payload,
                    **self.settings.get("SqsParameters", {}),
                }
                return TargetCall("sqs", "send_message", parameters, "sqs:SendMessage")
            case _, _, "sns", _, _, _:
                parameters = {"TopicArn": self.arn, "Message": payload}
                return TargetCall("sns", "publish", parameters, "sns:Publish")
        raise TargetError(f"schedules of the emulator do not support the target {self.arn}")


def _universal_call(name: str, payload: str) -> TargetCall:
    service, _, action = name.partition(":")
    if action.startswith(READ_ONLY):
        raise TargetError(f"{name}: schedules cannot call read-only actions")
    try:
        model = ServiceModel(_models.get_service_data(service), service)
    except UnknownServiceError:
        raise TargetError(f"{name}: no service {service!r}") from None
    operation = action[:1].upper() + action[1:]
    if action[:1].isupper() or operation not in model.operation_names:
        raise TargetError(f"{name}: {service} has no action {action!r}")
    try:
        parameters = json.loads(payload)
    except json.JSONDecodeError as error:
        raise TargetError(f"Input is not JSON: {error}") from None
    if not isinstance(parameters, dict):
        raise TargetError("Input is not a JSON object")
    shape = model.operation_model(operation).input_shape
    return TargetCall(
        service,
        xform_name(operation),
        _as_members(shape, parameters) if shape else {},
        f"{model.signing_name}:{operation}",
    )


def _as_members(shape: Any, value: Any) -> Any:
    """The value with the service's member names, whose first letter is lower case in some services."""
    if shape.type_name == "structure" and isinstance(value, dict):
        member_names = {name[:1].upper() + name[1:]: name for name in shape.members}
        named = {member_names.get(name[:1].upper() + name[1:], name): item for name, item in value.items()}
        return {
            name: _as_members(shape.members[name], item) if name in shape.members else item
            for name, item in named.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_as_members(shape.member, item) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {name: _as_members(shape.value, item) for name, item in value.items()}
    return value
