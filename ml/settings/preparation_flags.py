"""Command line of the preparation job, derived from its settings."""

import argparse
from typing import Any, TypeVar

from ml.settings.fields import Setting, SettingError, Settings, settings_of
from ml.settings.flags import add_flags, given_flags
from ml.settings.preparation import (
    STEPS,
    TIME_CUT,
    CleanSettings,
    FeatureStoreSettings,
    PreparationSettings,
    QualitySettings,
    ReadSettings,
    RunSettings,
    SplitSettings,
    WeightSettings,
)

_GROUPS = (RunSettings, *STEPS, FeatureStoreSettings)
G = TypeVar("G", bound=Settings)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of every group."""
    for group in _GROUPS:
        add_flags(_section(parser, group), group, is_optional=group is FeatureStoreSettings)


def add_step_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that a person chooses for an input, without those of one run and of the feature store."""
    for group in STEPS:
        add_flags(_section(parser, group), group)


def input_settings(arguments: argparse.Namespace) -> tuple[ReadSettings, WeightSettings]:
    """The settings of a parsed command line that say how the input is read.

    Raises:
        SettingError: as `from_arguments`, for the settings of all steps.
    """
    read_settings, weights, *_ = (group(**given_flags(group, arguments)) for group in STEPS)
    assert isinstance(read_settings, ReadSettings) and isinstance(weights, WeightSettings)  # noqa: S101, PT018
    return read_settings, weights


def step_options() -> list[tuple[str, list[Setting]]]:
    """Title and settings of each group of `add_step_arguments`, for help texts."""
    return [(_title(group), settings_of(group)) for group in STEPS]


def _section(parser: argparse.ArgumentParser, group: type[Settings]) -> Any:
    return parser.add_argument_group(_title(group))


def _title(group: type[Settings]) -> str:
    return str(group.__doc__).strip().splitlines()[0].rstrip(".")


def from_arguments(arguments: argparse.Namespace) -> PreparationSettings:
    """The settings of a parsed command line.

    Raises:
        SettingError: a value is out of its range, or values exclude each other; `flag_text` with `flag_name`
            is the message.
    """

    def given(group: type[G]) -> G:
        return group(**given_flags(group, arguments))

    reading, splitting = given(ReadSettings), given(SplitSettings)
    _check_time(reading, splitting)
    store = given_flags(FeatureStoreSettings, arguments)
    if len(store) == 1:
        raise SettingError("secret_arn", "and {0}: give both or neither", "database")
    return PreparationSettings(
        given(RunSettings),
        reading,
        given(WeightSettings),
        given(CleanSettings),
        splitting,
        given(QualitySettings),
        FeatureStoreSettings(**store) if store else None,
    )


def _check_time(reading: ReadSettings, splitting: SplitSettings) -> None:
    if reading.no_time and splitting.split == TIME_CUT:
        raise SettingError("no_time", "and {0} time-cut exclude each other", "split")


def flag_name(name: str) -> str:
    """The flag of a setting; of one key of a mapping, the flag with the key."""
    first, _, key = name.partition(".")
    flags = {each.name: each.flag for group in _GROUPS for each in settings_of(group)}
    return " ".join([flags[first], key] if key else [flags[first]])
