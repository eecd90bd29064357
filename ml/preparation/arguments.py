"""The job's command line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from ml.contract import parse_run_id
from ml.preparation.columns import ColumnNames
from ml.preparation.errors import InputError
from ml.preparation.reading import FORMATS
from ml.preparation.splits import LeaveLastOut, SplitRule, TimeCut
from ml.preparation.weights import Weighing, event_weights

MAX_LOOK_BACK_DAYS = 3660  # ten years; more is a slip
MAX_DAYS = 36_500  # a century: longer than the range of times that are read
LEAVE_LAST_OUT, TIME_CUT = SPLITS = ("leave-last-out", "time-cut")


@dataclass(frozen=True)
class Settings:
    """What one run is asked to do."""

    input: str  # a file or a folder
    output: str  # the prepared root; the run lies below it
    run_id: str
    format: str = "auto"
    columns: ColumnNames = field(default_factory=ColumnNames)
    weighing: Weighing = field(default_factory=Weighing)
    look_back_days: int | None = None  # None: every dated partition up to the run
    min_interactions: int = 5
    min_item_interactions: int = 1
    min_weight: float = 0.0
    split: str = LEAVE_LAST_OUT
    test_days: int | None = None  # of a time cut; None: 1
    validation_days: int | None = None
    previous_run: str | None = None  # None: the newest whole one before; "none": no run
    overwrite: bool = False
    expectations: str | None = None  # None: those that come with the job
    max_quarantined_share: float | None = None  # None: what the expectations say
    feature_store_secret: str | None = None  # ARN of the secret with MongoDB's URI; None: no feature store
    feature_store_database: str | None = None

    def __post_init__(self) -> None:
        fewest = self.split_rule().min_of_user
        if self.min_interactions < fewest:
            raise InputError(
                f"--min-interactions {self.min_interactions}: give at least {fewest}"
                + (f", since each user's last {fewest - 1} are held out" if fewest > 1 else "")
            )
        if self.min_item_interactions < 1:
            raise InputError(f"--min-item-interactions {self.min_item_interactions}: give at least 1")
        if not 0 <= self.min_weight < math.inf:
            raise InputError(f"--min-weight {self.min_weight}: give a number of at least 0")
        if self.look_back_days is not None and not 1 <= self.look_back_days <= MAX_LOOK_BACK_DAYS:
            raise InputError(f"--look-back-days {self.look_back_days}: give from 1 to {MAX_LOOK_BACK_DAYS}")
        if self.max_quarantined_share is not None and not 0 <= self.max_quarantined_share <= 1:
            raise InputError(
                f"--max-quarantined-share {self.max_quarantined_share}: give a share from 0 to 1"
            )
        for flag, days in (("--test-days", self.test_days), ("--validation-days", self.validation_days)):
            if days is not None and self.split != TIME_CUT:
                raise InputError(f"{flag} {days}: only --split {TIME_CUT} counts days; leave it out")
            if days is not None and not 1 <= days <= MAX_DAYS:
                raise InputError(f"{flag} {days}: give 1 to {MAX_DAYS} days")

        if (self.feature_store_secret is None) != (self.feature_store_database is None):
            raise InputError("--feature-store-secret and --feature-store-database: give both or neither")

    def split_rule(self) -> SplitRule:
        """The way to split that was asked for."""
        if self.split == LEAVE_LAST_OUT:
            return LeaveLastOut()
        return TimeCut(self.test_days or 1, self.validation_days or 1)


def parse_arguments(argv: Sequence[str] | None) -> Settings:
    """The settings of a command line (None: the process's own); raises InputError for a wrong one."""
    parser = _Parser(prog="ml.preparation", description="Prepare a shop's interactions for training.")
    parser.add_argument("--input", required=True, help="file or folder to read (local, s3://, hdfs://)")
    parser.add_argument("--output", required=True, help="the prepared root; the run is written below it")
    parser.add_argument("--run-id", required=True, help="UTC time, as 20261123T020000Z")
    parser.add_argument("--format", choices=FORMATS, default="auto", help="default: told by the content")
    parser.add_argument("--user-column", help="default: common spellings, such as user_id")
    parser.add_argument("--item-column", help="default: common spellings, such as item_id")
    parser.add_argument("--time-column", help="default: common spellings, such as timestamp")
    parser.add_argument("--event-column", help="default: common spellings, such as event_type")
    parser.add_argument(
        "--event-weight",
        action="append",
        default=[],
        metavar="TYPE=WEIGHT",
        help="what an event type is worth, such as purchase=5; repeat it for each type",
    )
    parser.add_argument("--weight-column", help="a number that each event carries, such as rating")
    parser.add_argument(
        "--look-back-days",
        type=int,
        help="days of dt=YYYY-MM-DD/ folders to read, up to the run's day",
    )
    parser.add_argument("--min-interactions", type=int, default=5, help="drop users with fewer (default 5)")
    parser.add_argument(
        "--min-item-interactions", type=int, default=1, help="drop items with fewer (default 1)"
    )
    parser.add_argument(
        "--min-weight", type=float, default=0.0, help="drop user-item pairs of less weight (default 0)"
    )
    parser.add_argument("--split", choices=SPLITS, default=LEAVE_LAST_OUT, help=f"default: {LEAVE_LAST_OUT}")
    parser.add_argument("--test-days", type=int, help="the last days of a time cut (default 1)")
    parser.add_argument("--validation-days", type=int, help="the days before those (default 1)")
    parser.add_argument(
        "--previous-run",
        help="the run whose ids keep their indices, or none (default: the newest whole one before)",
    )
    parser.add_argument("--overwrite", action="store_true", help="prepare a run again that is whole")
    parser.add_argument("--expectations", help="JSON file of the quality gate (default: the job's own)")
    parser.add_argument(
        "--max-quarantined-share", type=float, help="fail the run above it (default: what is expected)"
    )
    parser.add_argument("--feature-store-secret", help="ARN of the secret that holds MongoDB's URI")
    parser.add_argument("--feature-store-database", help="the database that features are written to")
    given = parser.parse_args(argv)
    try:
        run_id = parse_run_id(given.run_id)
    except ValueError as error:
        raise InputError(f"--run-id: {error}") from error
    return Settings(
        input=given.input,
        output=given.output,
        run_id=run_id,
        format=given.format,
        columns=_columns(given),
        weighing=Weighing(event_weights(given.event_weight), given.weight_column is not None),
        look_back_days=given.look_back_days,
        min_interactions=given.min_interactions,
        min_item_interactions=given.min_item_interactions,
        min_weight=given.min_weight,
        split=given.split,
        test_days=given.test_days,
        validation_days=given.validation_days,
        previous_run=given.previous_run,
        overwrite=given.overwrite,
        expectations=given.expectations,
        max_quarantined_share=given.max_quarantined_share,
        feature_store_secret=given.feature_store_secret,
        feature_store_database=given.feature_store_database,
    )


def _columns(given: argparse.Namespace) -> ColumnNames:
    """The columns to look for.

    Raises:
        InputError: events are to be weighed in two ways, or by types without weights.
    """
    if given.event_weight and given.weight_column is not None:
        raise InputError("--event-weight and --weight-column: give one of them")
    if given.event_column is not None and not given.event_weight:
        raise InputError("--event-column: also give --event-weight TYPE=WEIGHT for each type of event")
    return ColumnNames(
        given.user_column,
        given.item_column,
        given.time_column,
        given.event_column,
        given.weight_column,
        needs_event=bool(given.event_weight),
    )


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line like any other."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)
