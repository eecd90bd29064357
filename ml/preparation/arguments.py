"""The job's command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from ml.contract import parse_run_id
from ml.preparation.columns import ColumnNames
from ml.preparation.errors import InputError
from ml.preparation.reading import FORMATS
from ml.preparation.transforms import N_HELD_OUT
from ml.preparation.weights import Weighing, event_weights

MAX_LOOK_BACK_DAYS = 3660  # ten years; more is a slip


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
    max_quarantined_share: float = 0.05

    def __post_init__(self) -> None:
        if self.min_interactions <= N_HELD_OUT:
            raise InputError(
                f"--min-interactions {self.min_interactions}: give at least {N_HELD_OUT + 1}, "
                f"since each user's last {N_HELD_OUT} are held out"
            )
        if self.look_back_days is not None and not 1 <= self.look_back_days <= MAX_LOOK_BACK_DAYS:
            raise InputError(f"--look-back-days {self.look_back_days}: give from 1 to {MAX_LOOK_BACK_DAYS}")
        if not 0 <= self.max_quarantined_share <= 1:
            raise InputError(
                f"--max-quarantined-share {self.max_quarantined_share}: give a share from 0 to 1"
            )


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
        "--max-quarantined-share", type=float, default=0.05, help="fail the run above it (default 0.05)"
    )
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
        max_quarantined_share=given.max_quarantined_share,
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
