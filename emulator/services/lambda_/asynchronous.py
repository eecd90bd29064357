"""Asynchronous invocations: retries, then the function's dead-letter queue and destinations.

Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation".
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from emulator.delivery import Backoff, Delivery, DeliveryError, DeliveryQueue, Failure, RetryPolicy
from emulator.host import Host
from emulator.services.lambda_.sandbox import Invocation, Outcome
from emulator.wire import ServiceError

# Lambda waits 60 s and 120 s after function errors, and up to 5 minutes after throttling.
RETRY_POLICY = RetryPolicy(
    max_retries=2,
    max_age_s=21_600,
    backoff=Backoff(first_s=1.0, longest_s=2.0),
    throttling=Backoff(first_s=1.0, longest_s=30.0),
)
N_WORKERS = 16
MAX_ERROR_MESSAGE_BYTES = 1024
CONDITIONS = {"": "RetriesExhausted", "attempts": "RetriesExhausted", "age": "EventAgeExceeded"}
DESTINATIONS = ("sqs", "sns")
THROTTLED = Outcome(json.dumps({"errorMessage": "Rate Exceeded."}), "Throttled")
log = logging.getLogger("emulator.services.lambda")

Run = Callable[[Any, Invocation], Outcome]


class AsyncInvocations:
    """Queue of asynchronous invocations of all functions.

    Args:
        run: invokes a function and waits for the outcome.
        queue: queue of the invocations; for tests that record their outcomes.
    """

    def __init__(
        self, host: Host, run: Run, policy: RetryPolicy = RETRY_POLICY, queue: DeliveryQueue | None = None
    ) -> None:
        self._destinations = Destinations(host)
        self._run = run
        self._policy = policy
        self._queue = queue or DeliveryQueue("lambda", N_WORKERS)

    def submit(self, function: Any, invocation: Invocation) -> None:
        """Queue one event."""
        policy = self._policy.limited(_invoke_config(function))
        self._queue.submit(AsyncInvocation(function, invocation, self._run, self._destinations, policy))

    def close(self) -> None:
        """Drop queued events."""
        self._queue.close()


class AsyncInvocation(Delivery):
    """One event of one function."""

    def __init__(
        self,
        function: Any,
        invocation: Invocation,
        run: Run,
        destinations: Destinations,
        policy: RetryPolicy,
    ) -> None:
        self._function = function
        self._invocation = invocation
        self._run = run
        self._destinations = destinations
        self._n_runs = 0  # completed runs of the function, failed or not
        self._outcome = THROTTLED
        self.label = function.function_name
        self.policy = policy
        self.dead_letter_arn = (function.extra.get("DeadLetterConfig") or {}).get("TargetArn", "")

    def attempt(self, number: int) -> None:
        """Run the function.

        Raises:
            DeliveryError: the function failed or was throttled.
        """
        del number
        try:
            outcome = self._run(self._function, self._invocation)
        except ServiceError as error:
            if error.status == 429:
                raise DeliveryError(error.code, error.message, throttled=True) from error
            payload = {"errorType": error.code, "errorMessage": error.message}
            outcome = Outcome(json.dumps(payload), "Unhandled")
        self._n_runs += 1
        self._outcome = outcome
        if outcome.error:
            raise DeliveryError(outcome.error, outcome.payload, retryable=True)
        self._send_record("OnSuccess", "Success")

    def send_dead_letter(self, failure: Failure) -> None:
        """Send the event with the error in message attributes.

        Raises:
            ClientError: the function's role may not send to the queue or topic, or it does not exist.
        """
        message = str(json.loads(self._failed_outcome(failure).payload).get("errorMessage", ""))
        text = message.encode()[:MAX_ERROR_MESSAGE_BYTES].decode(errors="ignore")
        attributes = {
            "RequestID": {"DataType": "String", "StringValue": self._invocation.request_id},
            "ErrorCode": {"DataType": "Number", "StringValue": "200"},
            "ErrorMessage": {"DataType": "String", "StringValue": text or "-"},
        }
        self._destinations.send(self._function, self.dead_letter_arn, self._invocation.payload, attributes)

    def send_failure(self, failure: Failure) -> bool:
        """Send a record to the function's OnFailure destination."""
        self._outcome = self._failed_outcome(failure)
        return self._send_record("OnFailure", CONDITIONS[failure.exhausted])

    def _failed_outcome(self, failure: Failure) -> Outcome:
        return THROTTLED if failure.error.throttled else self._outcome

    def _send_record(self, kind: str, condition: str) -> bool:
        """Send the invocation record to a destination; False if none is configured or it is refused."""
        destinations = _invoke_config(self._function).get("DestinationConfig", {})
        arn = destinations.get(kind, {}).get("Destination")
        if not arn:
            return False
        try:
            self._destinations.send(self._function, arn, json.dumps(self._record(condition)), {})
        except Exception as error:
            log.error("%s -> %s: %s; the record is lost", self.label, arn, error)
            return False
        return True

    def _record(self, condition: str) -> dict[str, Any]:
        function, outcome = self._function, self._outcome
        context = {"statusCode": 200, "executedVersion": str(function.version)}
        if outcome.error:
            context["functionError"] = outcome.error
        return {
            "version": "1.0",
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "requestContext": {
                "requestId": self._invocation.request_id,
                "functionArn": f"{function.function_arn}:{function.version}",
                "condition": condition,
                "approximateInvokeCount": max(self._n_runs, 1),
            },
            "requestPayload": json.loads(self._invocation.payload),
            "responseContext": context,
            "responsePayload": json.loads(outcome.payload),
        }


class Destinations:
    """Sends to queues and topics with the permissions of a function's role."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def send(self, function: Any, arn: str, body: str, attributes: dict[str, Any]) -> None:
        """Send a message.

        Raises:
            ServiceError: NotImplemented, neither queue nor topic.
            ClientError: the role does not allow it, or the destination does not exist or refuses the message.
        """
        service, region = arn.split(":")[2], arn.split(":")[3]
        if service not in DESTINATIONS:
            raise ServiceError("NotImplemented", f"the emulator does not support {service} destinations", 501)
        client = self._host.role_client(service, region, function.role, function.function_name)
        if service == "sqs":
            url = self._host.client("sqs", region).get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
            client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
        else:
            client.publish(TopicArn=arn, Message=body, MessageAttributes=attributes)


def _invoke_config(function: Any) -> dict[str, Any]:
    return dict(function.event_invoke_config[-1].config) if function.event_invoke_config else {}
