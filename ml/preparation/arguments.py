"""Command line of the job."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from ml.contract import parse_run_id
from ml.preparation.errors import InputError
from ml.settings.fields import SettingError
from ml.settings.preparation import PreparationSettings
from ml.settings.preparation_flags import add_arguments, flag_name, from_arguments


def parse_arguments(argv: Sequence[str] | None) -> PreparationSettings:
    """The settings of a command line, grouped by step (None: ``sys.argv``).

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


class _Parser(argparse.ArgumentParser):
    """Parser that raises its errors instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)
