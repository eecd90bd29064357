"""EventBridge Scheduler: invokes the targets of the schedules that moto stores."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from emulator import moto_state
from emulator.authorization import roles
from emulator.delivery import Backoff, DeliveryQueue, RetryPolicy
from emulator.host import Host
from emulator.provider import Forward, Provider
from emulator.services.scheduler.expression import Expression, ExpressionError, parse
from emulator.services.scheduler.invocation import SERVICE, Occurrence, TargetInvocation
from emulator.services.scheduler.targets import Target, TargetError
from emulator.wire import Request, Response, Route, ServiceError

TICK_S = 0.5  # EventBridge Scheduler is precise to the minute
# Scheduler user guide, "Configuring a retry policy". The service waits longer between attempts.
RETRY_POLICY = RetryPolicy(
    max_retries=185, max_age_s=86_400, backoff=Backoff(first_s=0.5, longest_s=30.0, jitter=0.5)
)
N_WORKERS = 4
JUST_BEFORE = timedelta(microseconds=1)
log = logging.getLogger("emulator.services.scheduler.provider")


@dataclass(frozen=True)
class Timetable:
    """Due times of one of moto's schedules."""

    expression: Expression
    start: datetime
    end: datetime | None

    @classmethod
    def of(cls, schedule: Any) -> Timetable:
        """Timetable of a schedule's current version."""
        return cls(
            parse(schedule.schedule_expression, schedule.schedule_expression_timezone),
            _moment(schedule.start_date) or _changed(schedule),
            _moment(schedule.end_date),
        )

    def next_after(self, moment: datetime) -> datetime | None:
        """First due time after a moment; None if the schedule ends before."""
        due = self.expression.next_after(moment, self.start)
        return None if due is None or (self.end is not None and due > self.end) else due


class SchedulerProvider(Provider):
    """Checks all schedules every ``tick_s`` seconds and invokes the targets that are due."""

    def __init__(
        self,
        host: Host,
        forward: Forward,
        *,
        retry_policy: RetryPolicy = RETRY_POLICY,
        tick_s: float = TICK_S,
    ) -> None:
        self._host = host
        self._forward = forward
        self._retry_policy = retry_policy
        self._tick_s = tick_s
        self._next: dict[tuple[str, datetime], datetime | None] = {}
        self._invocations = DeliveryQueue("scheduler", N_WORKERS)
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="scheduler", daemon=True).start()

    def routes(self) -> list[Route]:
        """Create and update; moto would accept any expression and any target."""
        return [
            Route(method, r"/schedules/[^/]+", self._put_schedule, "scheduler") for method in ("POST", "PUT")
        ]

    def close(self) -> None:
        """Stop the clock thread and drop pending invocations."""
        self._closed.set()
        self._invocations.close()

    def _put_schedule(self, request: Request, match: re.Match[str]) -> Response:
        del match
        schedule = request.json
        target = schedule.get("Target", {})
        try:
            parse(schedule.get("ScheduleExpression", ""), schedule.get("ScheduleExpressionTimezone") or "UTC")
            Target(target.get("Arn", ""), target)
        except (ExpressionError, TargetError) as error:
            raise ServiceError("ValidationException", str(error)) from error
        if not self._is_trusted(target.get("RoleArn", ""), request.region):
            raise ServiceError(
                "ValidationException",
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
            )
        window = schedule.get("FlexibleTimeWindow", {})
        if (window.get("Mode") == "FLEXIBLE") != ("MaximumWindowInMinutes" in window):
            raise ServiceError(
                "ValidationException",
                "MaximumWindowInMinutes must be set for a flexible time window, and for no other.",
            )
        response = self._forward(request)
        if request.method == "PUT" and response.status == 200:
            self._set_defaults(schedule, request)
        return response

    @staticmethod
    def _set_defaults(spec: Mapping[str, Any], request: Request) -> None:
        """Set what an update leaves out, or moto leaves as it was.

        "EventBridge Scheduler overwrites all existing values ... To reset a value to its default, leave it
        out" (API reference, UpdateSchedule).
        """
        group = request.json.get("GroupName") or "default"
        name = request.path.rstrip("/").rpartition("/")[2]
        schedule = moto_state.backend("scheduler", request.region).get_schedule(group, name)
        schedule.state = spec.get("State") or "ENABLED"
        schedule.action_after_completion = spec.get("ActionAfterCompletion") or "NONE"

    def _is_trusted(self, role_arn: str, region: str) -> bool:
        """Whether a schedule of this account may assume a role; False if the role does not exist."""
        arn = f"arn:aws:scheduler:{region}:{self._host.account_id}:schedule/*"
        try:
            return roles.trusts(moto_state.backend("iam", region), role_arn, SERVICE, arn)
        except ServiceError:
            return False

    # -- clock ------------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._closed.wait(self._tick_s):
            try:
                self._tick(datetime.now(UTC))
            except Exception:  # one invalid schedule must not stop the others
                log.exception("schedules could not be checked")

    def _tick(self, now: datetime) -> None:
        seen: dict[tuple[str, datetime], datetime | None] = {}
        for region, schedule in self._schedules():
            key, timetable = (schedule.arn, _changed(schedule)), Timetable.of(schedule)
            if key in self._next:
                due = self._next[key]
            else:
                due = timetable.next_after(timetable.start - JUST_BEFORE)
            if due is not None and due <= now:
                if schedule.state != "DISABLED":  # moto drops the default state on an update
                    self._invoke(Occurrence(schedule.arn, dict(schedule.target), due, region))
                due = timetable.next_after(now)  # occurrences that were missed are skipped
            if due is None and schedule.action_after_completion == "DELETE":
                backend = moto_state.backend("scheduler", region)
                backend.delete_schedule(schedule.group_name, schedule.name)
            else:
                seen[key] = due
        self._next = seen

    def _schedules(self) -> Iterator[tuple[str, Any]]:
        """(region, schedule) of every schedule in moto."""
        for region, backend in moto_state.regional_backends("scheduler").items():
            for group in list(backend.schedule_groups.values()):
                for schedule in list(group.schedules.values()):
                    yield region, schedule

    def _invoke(self, occurrence: Occurrence) -> None:
        invocation = TargetInvocation(self._host, occurrence, self._retry_policy, self._is_trusted)
        self._invocations.submit(invocation)


def _moment(value: Any) -> datetime | None:
    """Convert a time of the REST JSON protocol, in seconds since 1970."""
    return None if value is None else datetime.fromtimestamp(float(value), UTC)


def _changed(schedule: Any) -> datetime:
    return datetime.fromtimestamp(schedule.last_modified_date, UTC)
