"""Asynchronous invocations: retries, then the function's dead-letter queue and destinations.

Lambda developer guide, "Error handling for asynchronous invocation". The waits between attempts are seconds
here and minutes there.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from emulator import roles
from emulator.services.lambda_.sandbox import Invocation, Outcome
from emulator.wire import ServiceError

if TYPE_CHECKING:
    from emulator.app import Emulator

MAX_RETRIES = 2
MAX_AGE_S = 21_600
RETRY_WAITS_S = (1.0, 2.0)  # 60 and 120 at the service
LONGEST_WAIT_S = 30.0
WORKERS = 16
SEND_ACTIONS = {
    "sqs": "sqs:SendMessage",
    "sns": "sns:Publish",
    "lambda": "lambda:InvokeFunction",
    "events": "events:PutEvents",
}
log = logging.getLogger("emulator.lambda")


@dataclass(frozen=True)
class Attempt:
    """One try at one queued event; ``tries`` counts what the function itself failed."""

    function: Any
    invocation: Invocation
    queued_at: float
    tries: int = 0
    throttles: int = 0


class AsyncInvocations:
    """The queue in front of the functions."""

    def __init__(self, emulator: Emulator, run: Callable[[Any, Invocation], Outcome]) -> None:
        self._emulator = emulator
        self._run = run
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="lambda")
        self._closed = threading.Event()

    def close(self) -> None:
        """Gives up what waits."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def submit(self, function: Any, invocation: Invocation) -> None:
        """Queues one event."""
        self._queue(Attempt(function, invocation, time.monotonic()))

    def _queue(self, attempt: Attempt) -> None:
        if not self._closed.is_set():
            self._pool.submit(self._try, attempt)

    def _try(self, attempt: Attempt) -> None:
        try:
            outcome = self._run(attempt.function, attempt.invocation)
        except ServiceError as error:
            if error.status == 429:
                self._wait(attempt, throttled=True)
                return
            outcome = Outcome(
                json.dumps({"errorType": error.code, "errorMessage": error.message}), "Unhandled"
            )
        except Exception:
            if not self._closed.is_set():
                log.exception("%s", attempt.function.function_name)
            return
        if outcome.error:
            self._wait(attempt, throttled=False, outcome=outcome)
        else:
            self._to_destination(attempt, outcome, "OnSuccess", "Success")

    def _wait(self, attempt: Attempt, *, throttled: bool, outcome: Outcome | None = None) -> None:
        """Queues the next attempt for later, or gives the event up."""
        config = _invoke_config(attempt.function)
        tries = attempt.tries + (0 if throttled else 1)
        throttles = attempt.throttles + (1 if throttled else 0)
        if throttled:
            wait_s = min(0.5 * 2**throttles, LONGEST_WAIT_S)
        else:
            wait_s = RETRY_WAITS_S[min(tries, len(RETRY_WAITS_S)) - 1]
        age_s = time.monotonic() - attempt.queued_at
        again = Attempt(attempt.function, attempt.invocation, attempt.queued_at, tries, throttles)
        if tries > config.get("MaximumRetryAttempts", MAX_RETRIES):
            self._give_up(again, outcome, "RetriesExhausted")
        elif age_s + wait_s > config.get("MaximumEventAgeInSeconds", MAX_AGE_S):
            self._give_up(again, outcome, "EventAgeExceeded")
        else:
            timer = threading.Timer(wait_s, self._queue, args=(again,))
            timer.daemon = True
            timer.start()

    def _give_up(self, attempt: Attempt, outcome: Outcome | None, condition: str) -> None:
        outcome = outcome or Outcome(json.dumps({"errorMessage": "Rate Exceeded."}), "Throttled")
        log.warning("%s: %s: %s", attempt.function.function_name, condition, outcome.payload)
        self._to_dead_letter(attempt, outcome)
        self._to_destination(attempt, outcome, "OnFailure", condition)

    def _to_dead_letter(self, attempt: Attempt, outcome: Outcome) -> None:
        arn = (attempt.function.extra.get("DeadLetterConfig") or {}).get("TargetArn")
        if not arn:
            return
        error = json.loads(outcome.payload)
        attributes = {
            "RequestID": {"DataType": "String", "StringValue": attempt.invocation.request_id},
            "ErrorCode": {"DataType": "Number", "StringValue": "200"},
            "ErrorMessage": {
                "DataType": "String",
                "StringValue": str(error.get("errorMessage", "")).encode()[:1024].decode(errors="ignore")
                or "-",
            },
        }
        self._send(attempt, arn, attempt.invocation.payload, attributes)

    def _to_destination(self, attempt: Attempt, outcome: Outcome, kind: str, condition: str) -> None:
        destinations = _invoke_config(attempt.function).get("DestinationConfig", {})
        arn = destinations.get(kind, {}).get("Destination")
        if not arn:
            return
        context = {"statusCode": 200, "executedVersion": str(attempt.function.version)}
        if outcome.error:
            context["functionError"] = outcome.error
        record = {
            "version": "1.0",
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "requestContext": {
                "requestId": attempt.invocation.request_id,
                "functionArn": f"{attempt.function.function_arn}:{attempt.function.version}",
                "condition": condition,
                "approximateInvokeCount": max(attempt.tries, 1),
            },
            "requestPayload": json.loads(attempt.invocation.payload),
            "responseContext": context,
            "responsePayload": json.loads(outcome.payload),
        }
        self._send(attempt, arn, json.dumps(record), {})

    def _send(self, attempt: Attempt, arn: str, body: str, attributes: dict[str, Any]) -> None:
        """Sends as the function's role; what can't be sent is lost, as at the service, but said."""
        function, service, region = attempt.function, arn.split(":")[2], arn.split(":")[3]
        try:
            iam = self._emulator.backend("iam", region)
            action = SEND_ACTIONS[service]
            if roles.decide_for_role(iam, function.role, action, arn) != "allowed":
                raise ServiceError("AccessDenied", f"{function.role} may not call {action} on {arn}", 403)
            client = self._emulator.client(service, region)
            if service == "sqs":
                url = client.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
                client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
            elif service == "sns":
                client.publish(TopicArn=arn, Message=body, MessageAttributes=attributes)
            elif service == "lambda":
                client.invoke(FunctionName=arn, InvocationType="Event", Payload=body.encode())
            else:
                client.put_events(Entries=[_as_event(arn, function, body)])
        except Exception as error:
            log.error("%s -> %s: %s; the event is lost", function.function_name, arn, error)


def _as_event(bus_arn: str, function: Any, body: str) -> dict[str, Any]:
    succeeded = json.loads(body)["requestContext"]["condition"] == "Success"
    return {
        "Source": "lambda",
        "DetailType": f"Lambda Function Invocation Result - {'Success' if succeeded else 'Failure'}",
        "Detail": body,
        "Resources": [bus_arn, f"{function.function_arn}:{function.version}"],
        "EventBusName": bus_arn,
    }


def _invoke_config(function: Any) -> dict[str, Any]:
    return dict(function.event_invoke_config[-1].config) if function.event_invoke_config else {}
