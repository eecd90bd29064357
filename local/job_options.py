"""Options of the preparation job on the command line of `up`: parsing, help, and the check of the data."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from typer.core import TyperCommand

from local.deploy.project import load_stage
from local.errors import BadInputError
from local.small_shop import missing_events
from ml.preparation.detect.explain import common_settings, explanation
from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.inspection import explain_input
from ml.preparation.detect.local_files import data_files
from ml.settings.fields import Setting, SettingError
from ml.settings.flags import as_flags, given_flags
from ml.settings.preparation import QualitySettings, ReadSettings, SplitSettings, WeightSettings
from ml.settings.preparation_flags import add_step_arguments, flag_name, input_settings, step_options
from ml.settings.stage_job import StageJob

ROOT = Path(__file__).resolve().parent.parent
ADVICE = "options go after the data: make up DATA=PATH ARGS='--user-column NAME'"


class JobCommand(TyperCommand):
    """Command whose help also has the options of the job, grouped by step."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        super().format_options(ctx, formatter)
        for title, options in _sections():
            with formatter.section(f"Preparation job: {title}"):
                formatter.write_dl(options)


def parse_job_options(given: Sequence[str]) -> tuple[str, ...]:
    """Check options of the job that were given after those of `up`.

    Raises:
        BadInputError: an option is unknown or its value is not allowed.
    """
    _parsed(given)
    return tuple(given)


def stage_job(stage: str) -> dict[str, Any]:
    """The section ``ncf:spark.job`` of a stage's config.

    Raises:
        ProjectError: as `load_stage`.
    """
    section = json.loads(load_stage(stage, ROOT).config.get("ncf:spark", "{}"))
    return dict(section.get("job") or {})


@dataclass(frozen=True)
class ExplainedData:
    """Description of how the job would read some data, in lines to print, and options that make it do so."""

    lines: list[str]
    options: tuple[str, ...]  # the given ones, and those that were detected (not from a sample of many files)


def explain_data(data: Path, stage_job: dict[str, Any], given: Sequence[str]) -> ExplainedData:
    """Detect how the job would read the data with the settings of the stage and the given options.

    Args:
        data: file or folder.
        stage_job: section ``ncf:spark.job`` of the stage's config.
        given: options of the job.

    Raises:
        BadInputError: the job would refuse the data; the message names the option to give.
    """
    try:
        flags = replace_flags(StageJob.read(stage_job).arguments(), given)
        arguments = _parsed(flags)
        read, weights = input_settings(arguments)
        explained = explain_input(data, read, weights)
        lines = list(explanation(explained, read, weights))
    except SettingError as error:
        raise BadInputError(f"ncf:spark.job.{error}") from error
    except InputError as error:
        line = " ".join(str(error).split())
        raise BadInputError(f"{line}; {ADVICE}" if "--" in line else line) from error
    if len(explained) < len(data_files(data)):
        return ExplainedData(lines, tuple(given))
    split = SplitSettings(**given_flags(SplitSettings, arguments))
    quality = QualitySettings(**given_flags(QualitySettings, arguments))
    if problem := missing_events(explained, split, quality):
        raise BadInputError(f"{data}: too small: {problem}")
    found = common_settings(explained, read, weights)
    fixed = [text for group in (ReadSettings, WeightSettings) for text in as_flags(group, found)]
    return ExplainedData(lines, tuple(replace_flags(fixed, given)))


def replace_flags(arguments: Sequence[str], given: Sequence[str]) -> list[str]:
    """Arguments in which the given flags replace those of the same name, with all their values."""
    names = {each.partition("=")[0] for each in given if each.startswith("--")}
    kept: list[str] = []
    is_replaced = False
    for each in arguments:
        if each.startswith("--"):
            is_replaced = each.partition("=")[0] in names
        if not is_replaced:
            kept.append(each)
    return [*kept, *given]


def _parsed(flags: Sequence[str]) -> argparse.Namespace:
    """Parsed and checked flags."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    add_step_arguments(parser)
    try:
        arguments = parser.parse_args(list(flags))
        input_settings(arguments)
    except SettingError as error:
        raise BadInputError(error.flag_text(flag_name)) from error
    return arguments


def _sections() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for title, settings in step_options():
        yield title, [(f"{each.flag} {_metavar(each)}".strip(), each.rule.help) for each in settings]


def _metavar(each: Setting) -> str:
    if each.choices is not None:
        return f"[{'|'.join(map(str, each.choices))}]"
    if each.plain_type is bool:
        return ""
    return each.rule.metavar or {int: "INTEGER", float: "NUMBER"}.get(each.plain_type, "TEXT")


class _Parser(argparse.ArgumentParser):
    """Parser that raises its errors instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise BadInputError(f"{message}; see .venv/bin/python -m local up --help")
