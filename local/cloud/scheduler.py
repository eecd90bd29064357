"""EventBridge Scheduler: schedules that fire. moto keeps them, and looks at no clock."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from moto.backends import get_backend

from local.cloud import roles
from local.cloud.plane import Plane, Request, Response, Route, ServiceError
from local.cloud.schedule_expression import ExpressionError, parse
from local.cloud.schedule_targets import Call, Target, TargetError

if TYPE_CHECKING:
    from local.cloud.server import Cloud

SERVICE = "scheduler.amazonaws.com"
TICK_S = 0.5  # the service is precise to the minute
FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 30.0  # the service waits longer; counts and ages are kept
DEFAULT_RETRIES = {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400}
WORKERS = 4
JUST_BEFORE = timedelta(microseconds=1)
log = logging.getLogger("local.cloud.scheduler")


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


class SchedulerPlane(Plane):
    """The clock, and what it sets off."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._next: dict[tuple[Any, ...], datetime | None] = {}
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="scheduler")
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="scheduler", daemon=True).start()

    def routes(self) -> list[Route]:
        """moto takes any expression and any target."""
        return [
            Route(method, r"/schedules/[^/]+", self._put_schedule, "scheduler") for method in ("POST", "PUT")
        ]

    def close(self) -> None:
        """Stops the clock and gives up what waits for a retry."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _put_schedule(self, request: Request, match: re.Match[str]) -> Response:
        del match
        asked = request.json
        target = asked.get("Target", {})
        try:
            parse(asked.get("ScheduleExpression", ""), asked.get("ScheduleExpressionTimezone") or "UTC")
            Target(target.get("Arn", ""), target)
        except (ExpressionError, TargetError) as error:
            raise ServiceError("ValidationException", str(error)) from error
        arn = f"arn:aws:scheduler:{request.region}:{self.cloud.account_id}:schedule/*"
        role = target.get("RoleArn", "")
        if not roles.trusts(self.cloud.backend("iam", request.region), role, SERVICE, arn):
            raise ServiceError(
                "ValidationException",
                f"The execution role you provide must allow AWS EventBridge Scheduler to assume the role: {role}",
            )
        return self.cloud.forward(request)

    # -- the clock --------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._closed.wait(TICK_S):
            try:
                self._tick(datetime.now(UTC))
            except Exception:  # one bad schedule must not stop the clock
                log.exception("the clock")

    def _tick(self, now: datetime) -> None:
        seen: dict[tuple[Any, ...], datetime | None] = {}
        for region, schedule in self._schedules():
            changed = datetime.fromtimestamp(schedule.last_modified_date, UTC)
            key = (schedule.arn, changed)
            start = _moment(schedule.start_date) or changed
            expression = parse(schedule.schedule_expression, schedule.schedule_expression_timezone)
            if key not in self._next:
                self._next[key] = expression.next_after(start - JUST_BEFORE, start)
            due = self._next[key]
            end = _moment(schedule.end_date)
            if due is not None and due <= now and (end is None or due <= end):
                if schedule.state == "ENABLED":
                    self._submit(Invocation(schedule.arn, dict(schedule.target), due, region))
                due = expression.next_after(now, start)  # what was slept through is not made up for
            if (
                due is None or (end is not None and due > end)
            ) and schedule.action_after_completion == "DELETE":
                self.cloud.backend("scheduler", region).delete_schedule(schedule.group_name, schedule.name)
                continue
            seen[key] = due
        self._next = seen

    def _schedules(self) -> Iterator[tuple[str, Any]]:
        """Every schedule of every region that was asked for, a snapshot."""
        for region, backend in list(get_backend("scheduler")[self.cloud.account_id].items()):
            for group in list(backend.schedule_groups.values()):
                for schedule in list(group.schedules.values()):
                    yield region, schedule

    # -- calls ------------------------------------------------------------------------------------
    def _submit(self, invocation: Invocation) -> None:
        if not self._closed.is_set():
            self._pool.submit(self._invoke, invocation)

    def _invoke(self, invocation: Invocation) -> None:
        try:
            call = Target(invocation.target["Arn"], invocation.target).call(invocation.payload())
            self._require_role(invocation, call)
            client = self.cloud.client(call.service, invocation.region)
            getattr(client, call.method)(**call.parameters)
            log.info("%s: %s called", invocation.schedule_arn, call.action)
        except ClientError as error:
            self._fail(invocation, error.response["Error"]["Code"], str(error), retry=_may_pass(error))
        except (TargetError, ParamValidationError) as error:
            self._fail(invocation, "ValidationException", str(error), retry=False)
        except ServiceError as error:
            self._fail(invocation, error.code, error.message, retry=False)
        except BotoCoreError as error:
            self._fail(invocation, type(error).__name__, str(error), retry=True)
        except Exception as error:  # whatever it is, it must not vanish with its thread
            self._fail(invocation, type(error).__name__, repr(error), retry=False)

    def _require_role(self, invocation: Invocation, call: Call) -> None:
        iam, role = self.cloud.backend("iam", invocation.region), invocation.target["RoleArn"]
        if not roles.trusts(iam, role, SERVICE, invocation.schedule_arn):
            raise ServiceError("AccessDeniedException", f"{role} does not trust {SERVICE}")
        if not call.is_allowed(iam, role):
            raise ServiceError("AccessDeniedException", f"{role} may not call {call.action}")

    def _fail(self, invocation: Invocation, code: str, message: str, *, retry: bool) -> None:
        policy = DEFAULT_RETRIES | dict(invocation.target.get("RetryPolicy") or {})
        wait_s = min(FIRST_RETRY_S * 2 ** (invocation.attempt - 1), LONGEST_RETRY_S)
        exhausted = ""
        if retry and invocation.attempt > policy["MaximumRetryAttempts"]:
            exhausted = "MaximumRetryAttempts"
        elif retry and time.monotonic() - invocation.started + wait_s > policy["MaximumEventAgeInSeconds"]:
            exhausted = "MaximumEventAgeInSeconds"
        elif retry:
            again = replace(invocation, attempt=invocation.attempt + 1)
            timer = threading.Timer(wait_s, self._submit, args=(again,))
            timer.daemon = True
            timer.start()
            return
        log.warning("%s: %s: %s", invocation.schedule_arn, code, message)
        self._dead_letter(invocation, code, message, exhausted)

    def _dead_letter(self, invocation: Invocation, code: str, message: str, exhausted: str) -> None:
        """The input to the queue, by the target's role."""
        queue = (invocation.target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue:
            log.error("%s: no dead-letter queue; the call is lost", invocation.schedule_arn)
            return
        attributes = {
            "ERROR_CODE": code,
            "ERROR_MESSAGE": message[:1024],
            "EXECUTION_ID": invocation.execution_id,
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(invocation.attempt - 1),
            "SCHEDULED_TIME": _iso(invocation.due),
            "SCHEDULE_ARN": invocation.schedule_arn,
            "TARGET_ARN": invocation.target["Arn"],
        }
        if exhausted:
            attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
        try:
            send = Target(queue).call(invocation.payload())
            self._require_role(invocation, send)
            self.cloud.client("sqs", queue.split(":")[3]).send_message(
                **send.parameters,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
                },
            )
        except Exception as error:  # whatever the queue's fault, it must be seen
            log.error(
                "%s -> dead-letter queue %s: %s; the call is lost", invocation.schedule_arn, queue, error
            )


def _may_pass(error: ClientError) -> bool:
    """Whether the next attempt may fare better."""
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return (
        (status >= 500 and status != 501) or status == 429 or "Throttl" in code or "TooManyRequests" in code
    )


def _moment(value: Any) -> datetime | None:
    """REST JSON carries moments as seconds since 1970."""
    return None if value is None else datetime.fromtimestamp(float(value), UTC)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
