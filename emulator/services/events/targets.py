"""Targets of EventBridge rules: one API call per kind, after the permission check that EventBridge makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from emulator import moto_state
from emulator.authorization import policies, roles
from emulator.delivery import DeliveryError, string_attributes
from emulator.host import Host
from emulator.wire import ServiceError

EVENTS_SERVICE = "events.amazonaws.com"
# Parts of the error codes for a resource that does not exist.
MISSING = ("NotFound", "NonExistentQueue", "NoSuch", "DoesNotExist", "NonExistent")


@dataclass(frozen=True)
class TargetEvent:
    """One event for one target of one rule."""

    event: dict[str, Any]
    rule_name: str
    rule_arn: str
    target: dict[str, Any]
    region: str

    @property
    def arn(self) -> str:
        """ARN of the target."""
        return str(self.target["Arn"])


class Targets:
    """Sends events to the kinds of target that the emulator supports."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._senders: dict[str, Callable[[TargetEvent, str], None]] = {
            "lambda:function": self._to_function,
            "codebuild:project": self._to_build,
            "sqs": self._to_queue,
            "sns": self._to_topic,
        }

    def send(self, event: TargetEvent, payload: str) -> None:
        """Send the payload to the target.

        Raises:
            DeliveryError: the target did not accept the event; ``code`` is EventBridge's ERROR_CODE.
        """
        kind = _kind(event.arn)
        sender = self._senders.get(kind)
        if sender is None:
            raise DeliveryError("SDK_CLIENT_ERROR", f"the emulator does not support {kind} targets")
        try:
            sender(event, payload)
        except ClientError as error:
            raise _classified(error) from error
        except ServiceError as error:
            raise DeliveryError("NO_RESOURCE", error.message) from error
        except BotoCoreError as error:
            raise DeliveryError("SDK_CLIENT_ERROR", str(error)) from error

    def send_to_queue(
        self,
        event: TargetEvent,
        queue_arn: str,
        body: str,
        *,
        attributes: Mapping[str, str] | None = None,
        group_id: str = "",
    ) -> None:
        """Send a message to a queue whose policy allows the rule to.

        Raises:
            DeliveryError: NO_PERMISSIONS, the queue's policy does not allow it.
            ClientError: the queue does not exist or refuses the message.
        """
        client = self._host.client("sqs", queue_arn.split(":")[3])
        url = client.get_queue_url(QueueName=queue_arn.rpartition(":")[2])["QueueUrl"]
        found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
        call = policies.Call("sqs:SendMessage", queue_arn, EVENTS_SERVICE, _context(event))
        if not policies.allows([found.get("Policy") or "{}"], call):
            raise DeliveryError(
                "NO_PERMISSIONS", f"the policy of {queue_arn} does not allow {event.rule_arn} to send to it"
            )
        message: dict[str, Any] = {"QueueUrl": url, "MessageBody": body}
        if attributes:
            message["MessageAttributes"] = string_attributes(attributes)
        if group_id:
            message["MessageGroupId"] = group_id
        client.send_message(**message)

    # -- kinds of target --------------------------------------------------------------------------
    def _to_function(self, event: TargetEvent, payload: str) -> None:
        client = self._client("lambda", event)
        try:
            policy = client.get_policy(FunctionName=event.arn)["Policy"]
        except client.exceptions.ResourceNotFoundException:
            client.get_function_configuration(FunctionName=event.arn)  # raises if the function is missing
            policy = "{}"
        self._require_resource_policy(event, policy, "lambda:InvokeFunction")
        client.invoke(FunctionName=event.arn, InvocationType="Event", Payload=payload.encode())

    def _to_build(self, event: TargetEvent, payload: str) -> None:
        self._require_role(event)
        region = event.arn.split(":")[3] or event.region
        client = self._host.role_client("codebuild", region, event.target["RoleArn"], "events")
        overrides = json.loads(payload)
        known = client.meta.service_model.operation_model("StartBuild").input_shape.members
        arguments = {k: v for k, v in overrides.items() if k in known} if isinstance(overrides, dict) else {}
        client.start_build(**{**arguments, "projectName": event.arn.rpartition("/")[2]})

    def _to_queue(self, event: TargetEvent, payload: str) -> None:
        group_id = event.target.get("SqsParameters", {}).get("MessageGroupId", "")
        self.send_to_queue(event, event.arn, payload, group_id=group_id)

    def _to_topic(self, event: TargetEvent, payload: str) -> None:
        client = self._client("sns", event)
        policy = client.get_topic_attributes(TopicArn=event.arn)["Attributes"].get("Policy", "{}")
        self._require_resource_policy(event, policy, "sns:Publish")
        client.publish(TopicArn=event.arn, Message=payload)

    def _client(self, service: str, event: TargetEvent) -> Any:
        return self._host.client(service, event.arn.split(":")[3] or event.region)

    # -- permissions ------------------------------------------------------------------------------
    def _require_resource_policy(self, event: TargetEvent, policy: str, action: str) -> None:
        call = policies.Call(action, event.arn, EVENTS_SERVICE, _context(event))
        if not policies.allows([policy], call):
            raise DeliveryError(
                "NO_PERMISSIONS",
                f"the policy of {event.arn} does not allow {event.rule_arn} to call {action}",
            )

    def _require_role(self, event: TargetEvent) -> None:
        """Raise DeliveryError unless EventBridge may assume the target's role."""
        role = event.target["RoleArn"]  # PutTargets requires it
        iam = moto_state.backend("iam", event.region)
        if not roles.trusts(iam, role, EVENTS_SERVICE, event.rule_arn):
            raise DeliveryError("NO_PERMISSIONS", f"{role} does not trust {EVENTS_SERVICE}")


def _kind(arn: str) -> str:
    """``service:resource type`` of an ARN; queues and topics have no resource type."""
    _, _, service, _, _, resource = arn.split(":", 5)
    return service if service in ("sqs", "sns") else f"{service}:{resource.split('/')[0].split(':')[0]}"


def _context(event: TargetEvent) -> dict[str, str]:
    return {"aws:SourceArn": event.rule_arn, "aws:SourceAccount": event.rule_arn.split(":")[4]}


def _classified(error: ClientError) -> DeliveryError:
    """The error with EventBridge's code; throttling and server errors can be retried."""
    code = error.response["Error"]["Code"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status == 429 or "Throttl" in code or "TooManyRequests" in code or "LimitExceeded" in code:
        return DeliveryError("THROTTLING", str(error), throttled=True)
    if status >= 500 and status != 501:
        return DeliveryError("INTERNAL_ERROR", str(error), retryable=True)
    if status == 404 or any(part in code for part in MISSING):
        return DeliveryError("NO_RESOURCE", str(error))
    if "AccessDenied" in code:
        return DeliveryError("NO_PERMISSIONS", str(error))
    return DeliveryError("SDK_CLIENT_ERROR", str(error))
