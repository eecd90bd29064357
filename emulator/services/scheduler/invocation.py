"""One invocation of a schedule's target: API call with the target's role, retries, dead-letter queue."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from emulator.delivery import Delivery, DeliveryError, Failure, RetryPolicy, string_attributes
from emulator.host import Host
from emulator.services.scheduler.targets import Target, TargetError
from emulator.wire import ServiceError

SERVICE = "scheduler.amazonaws.com"
MAX_ERROR_MESSAGE = 1024
EXHAUSTED = {"attempts": "MaximumRetryAttempts", "age": "MaximumEventAgeInSeconds"}
log = logging.getLogger("emulator.services.scheduler.invocation")


@dataclass(frozen=True)
class Occurrence:
    """One time at which a schedule was due."""

    schedule_arn: str
    target: Mapping[str, Any]
    due: datetime
    region: str
    execution_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def payload(self, attempt: int) -> str:
        """Input with its context attributes replaced; without an Input, the scheduled event."""
        if "Input" not in self.target:
            return json.dumps(self._event())
        text = str(self.target["Input"])
        for name, value in {
            "schedule-arn": self.schedule_arn,
            "scheduled-time": _iso(self.due),
            "execution-id": self.execution_id,
            "attempt-number": str(attempt),
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


class TargetInvocation(Delivery):
    """Calls a schedule's target.

    Args:
        is_trusted: whether EventBridge Scheduler may assume a role (ARN) in a region.
    """

    def __init__(
        self,
        host: Host,
        occurrence: Occurrence,
        policy: RetryPolicy,
        is_trusted: Callable[[str, str], bool],
    ) -> None:
        self._host = host
        self._occurrence = occurrence
        self._is_trusted = is_trusted
        self.label = occurrence.schedule_arn
        self.policy = policy.limited(occurrence.target.get("RetryPolicy") or {})
        self.dead_letter_arn = (occurrence.target.get("DeadLetterConfig") or {}).get("Arn", "")

    def attempt(self, number: int) -> None:
        """Call the target.

        Raises:
            DeliveryError: the call is not valid, not permitted or refused by the service.
        """
        occurrence = self._occurrence
        try:
            call = Target(occurrence.target["Arn"], occurrence.target).call(occurrence.payload(number))
            client = self._role_client(call.service, occurrence.region)
            getattr(client, call.method)(**call.parameters)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise DeliveryError(code, str(error), retryable=_is_retryable(error)) from error
        except (TargetError, ParamValidationError) as error:
            raise DeliveryError("ValidationException", str(error)) from error
        except ServiceError as error:
            raise DeliveryError(error.code, error.message) from error
        except BotoCoreError as error:
            raise DeliveryError(type(error).__name__, str(error), retryable=True) from error
        log.info("%s: %s called", self.label, call.action)

    def send_dead_letter(self, failure: Failure) -> None:
        """Send the input, as the target's role, with the error in message attributes.

        Raises:
            DeliveryError: the role does not trust the scheduler.
            ClientError: the role may not send to the queue, or it does not exist.
        """
        occurrence = self._occurrence
        attributes = {
            "ERROR_CODE": failure.error.code,
            "ERROR_MESSAGE": str(failure.error)[:MAX_ERROR_MESSAGE],
            "EXECUTION_ID": occurrence.execution_id,
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(failure.n_retries),
            "SCHEDULED_TIME": _iso(occurrence.due),
            "SCHEDULE_ARN": occurrence.schedule_arn,
            "TARGET_ARN": occurrence.target["Arn"],
        }
        if failure.exhausted:
            attributes["EXHAUSTED_RETRY_CONDITION"] = EXHAUSTED[failure.exhausted]
        send = Target(self.dead_letter_arn).call(occurrence.payload(failure.n_retries + 1))
        client = self._role_client("sqs", self.dead_letter_arn.split(":")[3])
        client.send_message(**send.parameters, MessageAttributes=string_attributes(attributes))

    def _role_client(self, service: str, region: str) -> Any:
        """boto3 client with the credentials of the target's role.

        Raises:
            DeliveryError: the role does not trust the scheduler.
        """
        role = self._occurrence.target["RoleArn"]
        if not self._is_trusted(role, self._occurrence.region):
            raise DeliveryError("AccessDeniedException", f"{role} does not trust {SERVICE}")
        return self._host.role_client(service, region, role, self._occurrence.schedule_arn.rpartition("/")[2])


def _is_retryable(error: ClientError) -> bool:
    """Throttling and server errors, except 501 (not implemented)."""
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return (
        (status >= 500 and status != 501) or status == 429 or "Throttl" in code or "TooManyRequests" in code
    )


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
