"""The job's command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from ml.contract import parse_run_id
from ml.preparation.errors import InputError
from ml.preparation.layout import ColumnNames
from ml.preparation.reading import FORMATS
from ml.preparation.transforms import N_HELD_OUT


@dataclass(frozen=True)
class Settings:
    """What one run is asked to do."""

    input: str  # a file or a folder
    output: str  # the prepared root; the run lies below it
    run_id: str
    format: str = "auto"
    columns: ColumnNames = field(default_factory=ColumnNames)
    min_interactions: int = 5
    max_quarantined_share: float = 0.05

    def __post_init__(self) -> None:
        if self.min_interactions <= N_HELD_OUT:
            raise InputError(
                f"--min-interactions {self.min_interactions}: give at least {N_HELD_OUT + 1}, "
                f"since each user's last {N_HELD_OUT} are held out"
            )
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
        columns=ColumnNames(given.user_column, given.item_column, given.time_column),
        min_interactions=given.min_interactions,
        max_quarantined_share=given.max_quarantined_share,
    )


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line like any other."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)
