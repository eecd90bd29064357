"""Whether the run of the last night is late, without AWS calls."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

RUN_ID = re.compile(r"\d{8}T\d{6}Z")
RUN_ID_FORMAT = "%Y%m%dT%H%M%SZ"
EXECUTION_NAME = re.compile(rf"run-({RUN_ID.pattern})")
# A run starts at most this long before its deadline. A repeat of yesterday's run, which a person has started
# after yesterday's deadline, is not taken for today's.
LONGEST = timedelta(hours=12)


@dataclass(frozen=True)
class Deadline:
    """Hour of the day, in a time zone, at which the run of the night must be complete."""

    hour: int
    timezone: ZoneInfo

    def last_before(self, now: datetime) -> datetime:
        """The newest deadline that is not later than `now`."""
        local = now.astimezone(self.timezone)
        today = local.replace(hour=self.hour, minute=0, second=0, microsecond=0)
        if today <= local:
            return today
        yesterday = local.date() - timedelta(days=1)  # not 24 hours: the clocks may change
        return datetime(yesterday.year, yesterday.month, yesterday.day, self.hour, tzinfo=self.timezone)

    def oldest_start(self, now: datetime) -> datetime:
        """Earliest start of a run that counts for the newest deadline."""
        return self.last_before(now) - LONGEST

    def is_missed(self, run_ids: Iterable[str], now: datetime) -> bool:
        """Whether none of the complete runs counts for the newest deadline."""
        oldest = self.oldest_start(now)
        return not any(oldest <= started_at(run_id) <= now for run_id in run_ids)


def started_at(run_id: str) -> datetime:
    """Time in a run id."""
    return datetime.strptime(run_id, RUN_ID_FORMAT).replace(tzinfo=UTC)


def run_id_at(moment: datetime) -> str:
    """Run id of a run that starts at a time."""
    return moment.astimezone(UTC).strftime(RUN_ID_FORMAT)


def run_of_key(key: str, prepared_prefix: str) -> str | None:
    """Run id of the key of a ``_SUCCESS`` object; None for other keys."""
    found = re.fullmatch(rf"{re.escape(prepared_prefix)}run=({RUN_ID.pattern})/_SUCCESS", key)
    return found[1] if found else None


def run_of_execution(display_name: str) -> str | None:
    """Run id of a pipeline execution; None for one that belongs to no run."""
    found = EXECUTION_NAME.fullmatch(display_name)
    return found[1] if found else None
