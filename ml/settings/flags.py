"""Command-line flags of declared settings, for argparse."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml.settings.fields import (
    InvalidSettingError,
    Setting,
    SettingError,
    Settings,
    is_group,
    is_mapping,
    settings_of,
    wanted_text,
)


def add_flags(
    parser: Any, group: type[Settings], *, sagemaker: bool = False, is_optional: bool = False
) -> None:
    """Add a flag for each setting of a group, except nested groups, to a parser or argument group.

    Args:
        parser: an `argparse` parser or argument group.
        group: the settings.
        sagemaker: accept names with underscores as well as hyphens, and booleans as the texts true and
            false, as SageMaker passes hyperparameters.
        is_optional: the whole group is optional, so that none of its flags is required.
    """
    for each in settings_of(group):
        if is_group(each.plain_type):
            continue
        names = sorted({each.flag, f"--{each.name}"}) if sagemaker else [each.flag]
        # With SUPPRESS a flag that was not given is absent from the namespace: presets and defaults apply.
        parser.add_argument(
            *names,
            dest=each.name,
            default=argparse.SUPPRESS,
            help=_help_text(each),
            **({"required": True} if each.is_required and not is_optional else {}),
            **_parsing(each, sagemaker),
        )


def _help_text(each: Setting) -> str:
    has_default = not each.is_required and each.default not in (None, {}) and each.plain_type is not bool
    text = f"{each.rule.help} (default {each.default})" if has_default else each.rule.help
    return text.replace("%", "%%")


def _parsing(each: Setting, sagemaker: bool) -> dict[str, Any]:
    kind = each.plain_type
    if each.choices is not None:
        return {"choices": each.choices}
    if kind is bool:
        return {"type": _boolean, "metavar": "true|false"} if sagemaker else {"action": "store_true"}
    if is_mapping(kind):
        return {"action": "append", "metavar": each.rule.metavar}
    return {"type": kind, "metavar": each.rule.metavar} if each.rule.metavar else {"type": kind}


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r}: true or false")
    return text.lower() == "true"


def given_flags(group: type[Settings], arguments: argparse.Namespace) -> dict[str, Any]:
    """Settings of a group that were given on the parsed command line, by name.

    Raises:
        SettingError: a flag of a mapping is not NAME=NUMBER, or repeats a name.
    """
    given = {}
    for each in settings_of(group):
        if hasattr(arguments, each.name):
            value = getattr(arguments, each.name)
            given[each.name] = _parse_mapping(each, value) if is_mapping(each.plain_type) else value
    return given


def _parse_mapping(each: Setting, given: Sequence[str]) -> dict[str, float]:
    """``["view=1", "purchase=5"]`` as a dictionary."""
    values: dict[str, float] = {}
    for text in given:
        key, _, number = text.rpartition("=")
        key = key.strip()
        if not key:
            raise InvalidSettingError(each.name, repr(text), f"{each.rule.metavar}, such as view=1")
        if key in values:
            raise SettingError(f"{each.name}.{key}", "is given more than once")
        try:
            values[key] = float(number)
        except ValueError:
            wanted = wanted_text(float, each.rule)
            raise InvalidSettingError(f"{each.name}.{key}", repr(number), wanted) from None
    return values


def as_flags(group: type[Settings], values: Mapping[str, Any]) -> Iterator[str]:
    """Command-line arguments that give a group's settings these values; none for a value of None.

    A mapping repeats its flag, once for each key in alphabetical order: ``--event-weight view=1``.
    """
    for each in settings_of(group):
        value = values.get(each.name)
        if isinstance(value, Mapping):
            for key in sorted(value):
                yield from (each.flag, f"{key}={value[key]}")
        elif value is True:
            yield each.flag
        elif value is not None and value is not False:
            # argparse takes a value such as -1,0 for a flag, unless it is joined.
            yield from ((f"{each.flag}={value}",) if str(value).startswith("-") else (each.flag, str(value)))
