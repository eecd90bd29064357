"""Delivers one event to one target, by the target's own API and with the permissions that it asks for."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from emulator import policies, roles
from emulator.wire import ServiceError

if TYPE_CHECKING:
    from emulator.app import Emulator

EVENTS_SERVICE = "events.amazonaws.com"
MISSING = ("NotFound", "NonExistentQueue", "NoSuch", "DoesNotExist", "NonExistent")


class UndeliverableError(Exception):
    """A delivery that no retry helps; ``code`` is EventBridge's ERROR_CODE."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RetryableError(Exception):
    """A delivery that may work later; ``code`` is EventBridge's ERROR_CODE."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Delivery:
    """One event on its way to one target of one rule."""

    event: dict[str, Any]
    rule_name: str
    rule_arn: str
    target: dict[str, Any]
    region: str

    @property
    def arn(self) -> str:
        """The target's ARN."""
        return str(self.target["Arn"])


class Targets:
    """The targets that the emulator knows."""

    def __init__(self, emulator: Emulator, publish: Callable[[dict[str, Any], str, str], None]) -> None:
        self.emulator = emulator
        self._publish = publish
        self._senders: dict[str, Callable[[Delivery, str], None]] = {
            "lambda:function": self._to_function,
            "codebuild:project": self._to_build,
            "sqs": self._to_queue,
            "sns": self._to_topic,
            "logs:log-group": self._to_log_group,
            "events:event-bus": self._to_bus,
            "sagemaker:pipeline": self._to_pipeline,
        }

    def send(self, delivery: Delivery, payload: str) -> None:
        """Hands the payload to the target.

        Raises:
            UndeliverableError, RetryableError: the target did not take it.
        """
        kind = _kind(delivery.arn)
        sender = self._senders.get(kind)
        if sender is None:
            raise UndeliverableError("SDK_CLIENT_ERROR", f"the emulator delivers to no {kind} target")
        try:
            sender(delivery, payload)
        except ClientError as error:
            raise _classified(error) from error
        except ServiceError as error:
            raise UndeliverableError("NO_RESOURCE", error.message) from error
        except BotoCoreError as error:
            raise UndeliverableError("SDK_CLIENT_ERROR", str(error)) from error

    def _to_function(self, delivery: Delivery, payload: str) -> None:
        client = self._client("lambda", delivery)
        try:
            policy = client.get_policy(FunctionName=delivery.arn)["Policy"]
        except client.exceptions.ResourceNotFoundException:
            client.get_function_configuration(FunctionName=delivery.arn)  # tells a missing function apart
            policy = "{}"
        self._require_resource_policy(delivery, policy, "lambda:InvokeFunction")
        client.invoke(FunctionName=delivery.arn, InvocationType="Event", Payload=payload.encode())

    def _to_build(self, delivery: Delivery, payload: str) -> None:
        self._require_role(delivery, "codebuild:StartBuild")
        client = self._client("codebuild", delivery)
        overrides = json.loads(payload)
        known = client.meta.service_model.operation_model("StartBuild").input_shape.members
        arguments = {k: v for k, v in overrides.items() if k in known} if isinstance(overrides, dict) else {}
        client.start_build(**{**arguments, "projectName": delivery.arn.rpartition("/")[2]})

    def _to_queue(self, delivery: Delivery, payload: str) -> None:
        send_to_queue(
            self.emulator,
            delivery,
            delivery.arn,
            payload,
            group_id=delivery.target.get("SqsParameters", {}).get("MessageGroupId"),
        )

    def _to_topic(self, delivery: Delivery, payload: str) -> None:
        client = self._client("sns", delivery)
        policy = client.get_topic_attributes(TopicArn=delivery.arn)["Attributes"].get("Policy", "{}")
        self._require_resource_policy(delivery, policy, "sns:Publish")
        client.publish(TopicArn=delivery.arn, Message=payload)

    def _to_log_group(self, delivery: Delivery, payload: str) -> None:
        client = self._client("logs", delivery)
        documents = [p["policyDocument"] for p in client.describe_resource_policies()["resourcePolicies"]]
        group_arn = delivery.arn.removesuffix(":*")
        call = policies.Call(
            "logs:PutLogEvents",
            f"{group_arn}:log-stream:events",
            EVENTS_SERVICE,
            _context(delivery),
        )
        if not policies.allows(documents, call):
            raise UndeliverableError(
                "NO_PERMISSIONS", f"no log resource policy lets events write to {group_arn}"
            )
        group = group_arn.split(":log-group:", 1)[1]
        stream = str(uuid.uuid4())
        client.create_log_stream(logGroupName=group, logStreamName=stream)
        client.put_log_events(
            logGroupName=group,
            logStreamName=stream,
            logEvents=[{"timestamp": int(time.time() * 1000), "message": payload}],
        )

    def _to_bus(self, delivery: Delivery, payload: str) -> None:
        del payload  # a bus takes the event as it is
        region, bus = delivery.arn.split(":")[3], delivery.arn.rpartition("/")[2]
        self._client("events", delivery).describe_event_bus(Name=bus)
        self._publish(delivery.event, region, bus)

    def _to_pipeline(self, delivery: Delivery, payload: str) -> None:
        del payload  # a pipeline takes the target's parameters
        self._require_role(delivery, "sagemaker:StartPipelineExecution")
        self._client("sagemaker", delivery).start_pipeline_execution(
            PipelineName=delivery.arn.rpartition("/")[2],
            PipelineParameters=delivery.target.get("SageMakerPipelineParameters", {}).get(
                "PipelineParameterList", []
            ),
            ClientRequestToken=delivery.event["id"],
        )

    def _client(self, service: str, delivery: Delivery) -> Any:
        return self.emulator.client(service, delivery.arn.split(":")[3] or delivery.region)

    def _require_resource_policy(self, delivery: Delivery, policy: str, action: str) -> None:
        call = policies.Call(action, delivery.arn, EVENTS_SERVICE, _context(delivery))
        if not policies.allows([policy], call):
            raise UndeliverableError(
                "NO_PERMISSIONS",
                f"the policy of {delivery.arn} does not let {delivery.rule_arn} call {action}",
            )

    def _require_role(self, delivery: Delivery, action: str) -> None:
        """A target that needs a role gets nothing without one that events may assume and that may call."""
        role = delivery.target.get("RoleArn", "")
        iam = self.emulator.backend("iam", delivery.region)
        if not role:
            raise UndeliverableError("NO_PERMISSIONS", f"the target {delivery.arn} has no RoleArn")
        if not roles.trusts(iam, role, EVENTS_SERVICE, delivery.rule_arn):
            raise UndeliverableError("NO_PERMISSIONS", f"{role} does not trust {EVENTS_SERVICE}")
        if roles.decide_for_role(iam, role, action, delivery.arn) != "allowed":
            raise UndeliverableError("NO_PERMISSIONS", f"{role} may not call {action} on {delivery.arn}")


def send_to_queue(
    emulator: Emulator,
    delivery: Delivery,
    queue_arn: str,
    body: str,
    *,
    attributes: dict[str, str] | None = None,
    group_id: str | None = None,
) -> None:
    """Sends to a queue whose policy lets the rule do so.

    Raises:
        UndeliverableError: NO_PERMISSIONS, the queue's policy does not.
        ClientError: the queue refuses or is not there.
    """
    client = emulator.client("sqs", queue_arn.split(":")[3])
    url = client.get_queue_url(QueueName=queue_arn.rpartition(":")[2])["QueueUrl"]
    policy = client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
    call = policies.Call("sqs:SendMessage", queue_arn, EVENTS_SERVICE, _context(delivery))
    if not policies.allows([policy.get("Policy") or "{}"], call):
        raise UndeliverableError(
            "NO_PERMISSIONS", f"the policy of {queue_arn} does not let {delivery.rule_arn} send to it"
        )
    message: dict[str, Any] = {"QueueUrl": url, "MessageBody": body}
    if attributes:
        message["MessageAttributes"] = {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        }
    if group_id:
        message["MessageGroupId"] = group_id
    client.send_message(**message)


def _kind(arn: str) -> str:
    """``lambda:function``; queues and topics have no resource type."""
    _, _, service, _, _, resource = arn.split(":", 5)
    return service if service in ("sqs", "sns") else f"{service}:{resource.split('/')[0].split(':')[0]}"


def _context(delivery: Delivery) -> dict[str, str]:
    account = delivery.rule_arn.split(":")[4]
    return {"aws:SourceArn": delivery.rule_arn, "aws:SourceAccount": account}


def _classified(error: ClientError) -> Exception:
    code = error.response["Error"]["Code"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status == 429 or "Throttl" in code or "TooManyRequests" in code or "LimitExceeded" in code:
        return RetryableError("THROTTLING", str(error))
    if status >= 500 and status != 501:
        return RetryableError("INTERNAL_ERROR", str(error))
    if status == 404 or any(part in code for part in MISSING):
        return UndeliverableError("NO_RESOURCE", str(error))
    if "AccessDenied" in code:
        return UndeliverableError("NO_PERMISSIONS", str(error))
    return UndeliverableError("SDK_CLIENT_ERROR", str(error))
