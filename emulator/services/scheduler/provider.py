"""EventBridge Scheduler: schedules that fire. moto keeps them, and looks at no clock."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from moto.backends import get_backend

from emulator import roles
from emulator.provider import Provider
from emulator.services.scheduler.expression import Expression, ExpressionError, parse
from emulator.services.scheduler.invocation import Invocation
from emulator.services.scheduler.targets import Call, Target, TargetError
from emulator.wire import Request, Response, Route, ServiceError

if TYPE_CHECKING:
    from emulator.app import Emulator

SERVICE = "scheduler.amazonaws.com"
TICK_S = 0.5  # the service is precise to the minute
FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 30.0  # the service waits longer; counts and ages are kept
DEFAULT_RETRIES = {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400}
WORKERS = 4
JUST_BEFORE = timedelta(microseconds=1)
log = logging.getLogger("emulator.services.scheduler.provider")


@dataclass(frozen=True)
class Timetable:
    """When one of moto's schedules is due."""

    expression: Expression
    start: datetime
    end: datetime | None

    @classmethod
    def of(cls, schedule: Any) -> Timetable:
        """The timetable as it was last changed."""
        return cls(
            parse(schedule.schedule_expression, schedule.schedule_expression_timezone),
            _moment(schedule.start_date) or _changed(schedule),
            _moment(schedule.end_date),
        )

    def next_after(self, moment: datetime) -> datetime | None:
        """The next time that is not after the end."""
        due = self.expression.next_after(moment, self.start)
        return None if due is None or (self.end is not None and due > self.end) else due


class SchedulerProvider(Provider):
    """The clock, and what it sets off."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self._next: dict[tuple[str, datetime], datetime | None] = {}
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
        if not self._trusted(target.get("RoleArn", ""), request.region):
            raise ServiceError(
                "ValidationException",
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
            )
        return self.emulator.forward(request)

    def _trusted(self, role_arn: str, region: str) -> bool:
        """Whether the service may assume a role for a schedule of this account; not if there is none."""
        arn = f"arn:aws:scheduler:{region}:{self.emulator.account_id}:schedule/*"
        try:
            return roles.trusts(self.emulator.backend("iam", region), role_arn, SERVICE, arn)
        except ServiceError:
            return False

    # -- the clock --------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._closed.wait(TICK_S):
            try:
                self._tick(datetime.now(UTC))
            except Exception:  # one bad schedule must not stop the clock
                log.exception("the clock")

    def _tick(self, now: datetime) -> None:
        seen: dict[tuple[str, datetime], datetime | None] = {}
        for region, schedule in self._schedules():
            key, timetable = (schedule.arn, _changed(schedule)), Timetable.of(schedule)
            due = (
                self._next[key] if key in self._next else timetable.next_after(timetable.start - JUST_BEFORE)
            )
            if due is not None and due <= now:
                if schedule.state != "DISABLED":  # moto forgets the default on an update
                    self._submit(Invocation(schedule.arn, dict(schedule.target), due, region))
                due = timetable.next_after(now)  # what was slept through is not made up for
            if due is None and schedule.action_after_completion == "DELETE":
                self.emulator.backend("scheduler", region).delete_schedule(schedule.group_name, schedule.name)
            else:
                seen[key] = due
        self._next = seen

    def _schedules(self) -> Iterator[tuple[str, Any]]:
        """Every schedule of every region that was asked for, a snapshot."""
        for region, backend in list(get_backend("scheduler")[self.emulator.account_id].items()):
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
            client = self.emulator.client(call.service, invocation.region)
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
        iam, role = self.emulator.backend("iam", invocation.region), invocation.target["RoleArn"]
        if not self._trusted(role, invocation.region):
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
        try:
            send = Target(queue).call(invocation.payload())
            self._require_role(invocation, send)
            self.emulator.client("sqs", queue.split(":")[3]).send_message(
                **send.parameters,
                MessageAttributes=invocation.dead_letter_attributes(code, message, exhausted),
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


def _changed(schedule: Any) -> datetime:
    return datetime.fromtimestamp(schedule.last_modified_date, UTC)
