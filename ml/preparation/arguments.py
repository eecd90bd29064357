"""Command line of the job."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from ml.contract import parse_run_id
from ml.preparation.clean.weights import Weighing
from ml.preparation.errors import InputError
from ml.preparation.read.columns import ColumnNames
from ml.preparation.split.rules import LeaveLastOut, SplitRule, TimeCut
from ml.settings.fields import SettingError
from ml.settings.preparation import TIME_CUT, PreparationSettings, add_arguments, flag_name, from_arguments


@dataclass(frozen=True)
class Settings:
    """Settings of one run."""

    input: str
    output: str
    run_id: str
    format: str = "auto"
    columns: ColumnNames = field(default_factory=ColumnNames)
    weighing: Weighing = field(default_factory=Weighing)
    look_back_days: int | None = None
    min_interactions: int = 5
    min_item_interactions: int = 1
    min_weight: float = 0.0
    split: str = "leave-last-out"
    test_days: int | None = None
    validation_days: int | None = None
    previous_run: str | None = None
    overwrite: bool = False
    expectations: str | None = None
    max_quarantined_share: float | None = None
    feature_store_secret: str | None = None
    feature_store_database: str | None = None

    def split_rule(self) -> SplitRule:
        """The rule by which the run is split."""
        if self.split == TIME_CUT:
            return TimeCut(self.test_days or 1, self.validation_days or 1)
        return LeaveLastOut()


def parse_settings(argv: Sequence[str] | None) -> PreparationSettings:
    """The settings of a command line, grouped by step (None: the process's own arguments).

    Raises:
        InputError: a flag is missing, unknown or wrong.
    """
    parser = _Parser(prog="ml.preparation", description="Prepare a shop's interactions for training.")
    add_arguments(parser)
    try:
        settings = from_arguments(parser.parse_args(argv))
    except SettingError as error:
        raise InputError(error.flag_text(flag_name)) from error
    try:
        run_id = parse_run_id(settings.run.run_id)
    except ValueError as error:
        raise InputError(f"--run-id: {error}") from error
    return replace(settings, run=replace(settings.run, run_id=run_id))


def parse_arguments(argv: Sequence[str] | None) -> Settings:
    """The settings of a command line in one record; raises InputError for a wrong one."""
    given = parse_settings(argv)
    run, read, weights, split, store = given.run, given.read, given.weights, given.split, given.feature_store
    return Settings(
        input=run.input,
        output=run.output,
        run_id=run.run_id,
        format=read.format,
        columns=ColumnNames(
            read.user_column,
            read.item_column,
            read.time_column,
            weights.event_column,
            weights.weight_column,
            needs_event=bool(weights.event_weights),
        ),
        weighing=Weighing(tuple(weights.event_weights.items()), weights.weight_column is not None),
        look_back_days=read.look_back_days,
        min_interactions=split.min_interactions,
        min_item_interactions=split.min_item_interactions,
        min_weight=split.min_weight,
        split=split.split,
        test_days=split.test_days,
        validation_days=split.validation_days,
        previous_run=run.previous_run,
        overwrite=run.overwrite,
        expectations=given.quality.expectations,
        max_quarantined_share=given.quality.max_quarantined_share,
        feature_store_secret=store.secret_arn if store else None,
        feature_store_database=store.database if store else None,
    )


class _Parser(argparse.ArgumentParser):
    """Parser that raises its errors instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)
