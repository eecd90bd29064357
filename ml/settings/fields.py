"""Declarative settings: dataclass fields with help text and limits.

A group of settings is a frozen dataclass that extends `Settings`; each field is declared with `setting`. That
declaration is the source of validation, of reading a JSON or YAML object (`read`) and of command-line flags
(`ml.settings.flags`). EMR runs Python 3.9 and the annotations are evaluated: write Optional[int], not
int | None, and leave out ``from __future__ import annotations``.
"""

import math
import re
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, Optional, TypeVar, Union, get_args, get_origin, get_type_hints

Scalar = Union[str, int, float]
REQUIRED: Final = object()  # the default of a setting that has none

_UNIONS = (Union, getattr(types, "UnionType", Union))  # X | Y is a type from Python 3.10 on
_RULE = "rule"  # key in the metadata of a dataclass field
_WHOLE = "the value"  # name of the whole document in an error


class SettingError(ValueError):
    """A setting is missing, unknown or out of its range; the message names it and what to write.

    Args:
        name: the setting, with the sections above it: ``floors.hr_at_10``.
        problem: the message after the name; ``{0}``, ``{1}`` stand for other settings.
        others: the names of those settings.
    """

    def __init__(self, name: str, problem: str, *others: str) -> None:
        self.name, self.problem, self.others = name, problem, others
        super().__init__(self.text())

    def text(self, format_name: Callable[[str], str] = str) -> str:
        """The message, with each setting's name formatted by `format_name`."""
        return f"{format_name(self.name)} {self._with_others(self.problem, format_name)}"

    def flag_text(self, format_name: Callable[[str], str]) -> str:
        """The message for a command line; `format_name` returns the flag of a setting."""
        return self.text(format_name)

    def below(self, section: str) -> "SettingError":
        """The same error, with the setting's name prefixed by its section."""
        return SettingError(_below(section, self.name), self.problem, *self.others)

    def _with_others(self, text: str, format_name: Callable[[str], str]) -> str:
        return text.format(*map(format_name, self.others)) if self.others else text


class InvalidSettingError(SettingError):
    """A setting's value is of the wrong type or out of its range.

    Args:
        name: the setting, with the sections above it.
        value: the rejected value.
        wanted: what to write instead: ``a whole number of at least 1``.
        others: the settings that ``{0}``, ``{1}`` in `wanted` stand for.
    """

    def __init__(self, name: str, value: object, wanted: str, *others: str) -> None:
        self.value, self.wanted = value, wanted
        super().__init__(name, "", *others)

    def text(self, format_name: Callable[[str], str] = str) -> str:
        wanted = self._with_others(self.wanted, format_name)
        return f"{format_name(self.name)} is {self.value!r}: write {wanted}"

    def flag_text(self, format_name: Callable[[str], str]) -> str:
        wanted = self._with_others(self.wanted, format_name)
        return f"{format_name(self.name)} {self.value}: give {wanted}"

    def below(self, section: str) -> "InvalidSettingError":
        return InvalidSettingError(_below(section, self.name), self.value, self.wanted, *self.others)


def _below(section: str, name: str) -> str:
    return section if name == _WHOLE else f"{section}.{name}"


@dataclass(frozen=True)
class Rule:
    """Help text, limits and flag of a setting: what `setting` declares in addition to type and default."""

    help: str
    at_least: Optional[float] = None
    more_than: Optional[float] = None
    at_most: Optional[float] = None
    less_than: Optional[float] = None
    pattern: Optional[str] = None  # of a whole text
    wanted: Optional[str] = None  # what to write, if the limits do not state it: "a version such as 2.6.0"
    unit: str = ""
    flag: Optional[str] = None  # without the leading hyphens; None: the field's name
    metavar: Optional[str] = None
    key_pattern: Optional[str] = None  # of the keys of a mapping
    # The keys of a mapping with fixed keys, each with its default or REQUIRED. Only `read` fills in defaults:
    # a group that is constructed directly must be given every key.
    keys: Optional[Mapping[str, Any]] = None

    def allows(self, number: float) -> bool:
        """Whether a number is finite and within the limits."""
        return (
            math.isfinite(number)
            and (self.at_least is None or number >= self.at_least)
            and (self.more_than is None or number > self.more_than)
            and (self.at_most is None or number <= self.at_most)
            and (self.less_than is None or number < self.less_than)
        )

    def range_text(self, noun: str) -> str:
        """Description of the allowed numbers: ``a whole number of days from 1 to 3660``."""
        noun += f" of {self.unit}" if self.unit else ""
        if self.at_least is not None and self.at_most is not None:
            return f"{noun} from {self.at_least:g} to {self.at_most}"
        limits = {
            "of at least": self.at_least,
            "greater than": self.more_than,
            "of at most": self.at_most,
            "less than": self.less_than,
        }
        stated = [f"{words} {limit}" for words, limit in limits.items() if limit is not None]
        return " ".join([noun, " and ".join(stated)]) if stated else noun


def setting(default: Any = REQUIRED, *, help: str, **rule: Any) -> Any:  # noqa: A002 (argparse's word)
    """Declare a setting of a `Settings` dataclass.

    Args:
        default: the value if none is given; without a default, the setting is required.
        help: one line for ``--help`` and the documents.
        rule: the limits, see `Rule`.
    """
    metadata = {_RULE: Rule(help, **rule)}
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Setting:
    """One declared setting of a group."""

    name: str
    type: Any  # as annotated
    default: Any  # or REQUIRED
    rule: Rule

    @property
    def is_required(self) -> bool:
        return self.default is REQUIRED

    @property
    def choices(self) -> Optional[tuple[Any, ...]]:
        """The values of a ``Literal``; None for any other type."""
        return get_args(self.plain_type) if get_origin(self.plain_type) is Literal else None

    @property
    def plain_type(self) -> Any:
        """The type, without None."""
        if get_origin(self.type) in _UNIONS:
            others = [each for each in get_args(self.type) if each is not type(None)]
            return others[0] if len(others) == 1 else Union[tuple(others)]
        return self.type

    @property
    def flag(self) -> str:
        """The command-line flag: ``--min-interactions``."""
        return "--" + (self.rule.flag or self.name.replace("_", "-"))

    def check(self, value: Any) -> None:
        """Raise `SettingError` unless the value is of the setting's type and within its limits."""
        if value is REQUIRED:
            raise SettingError(self.name, "is missing")
        if value is None and type(None) in get_args(self.type):
            return
        _check_value(self.name, value, self.plain_type, self.rule)


class Settings:
    """Base of a group of settings; a subclass is a frozen dataclass whose fields are declared with `setting`.

    Raises:
        SettingError: a value is missing, of the wrong type or out of its range.
    """

    def __post_init__(self) -> None:
        for each in settings_of(type(self)):
            each.check(getattr(self, each.name))


S = TypeVar("S", bound=Settings)


def settings_of(group: type[Settings]) -> list[Setting]:
    """The settings of a group, in the order of their declaration."""
    hints = get_type_hints(group)
    return [
        Setting(
            name=each.name,
            type=hints[each.name],
            default=each.default_factory() if callable(each.default_factory) else each.default,
            rule=each.metadata[_RULE],
        )
        for each in fields(group)  # type: ignore[arg-type]  # each subclass is a dataclass
    ]


# -- values --------------------------------------------------------------------------------------
def _check_value(name: str, value: Any, kind: Any, rule: Rule) -> None:
    if is_mapping(kind):
        _check_mapping(name, value, get_args(kind)[1], rule)
    elif is_group(kind):
        if not isinstance(value, kind):
            raise InvalidSettingError(name, value, "an object")
    elif not _is_of(value, kind, rule):
        raise InvalidSettingError(name, value, wanted_text(kind, rule))


def is_group(kind: Any) -> bool:
    """Whether a type is a group of settings."""
    return isinstance(kind, type) and issubclass(kind, Settings)


def is_mapping(kind: Any) -> bool:
    """Whether a type is a mapping."""
    return get_origin(kind) in (dict, Mapping)


def _is_of(value: Any, kind: Any, rule: Rule) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) in _UNIONS:
        return any(_is_of(value, each, rule) for each in get_args(kind))
    if kind is bool:
        return isinstance(value, bool)
    if kind is str:
        return isinstance(value, str) and re.fullmatch(rule.pattern or r"(?s).*", value) is not None
    numbers = (int,) if kind is int else (int, float)
    return isinstance(value, numbers) and not isinstance(value, bool) and rule.allows(value)


def wanted_text(kind: Any, rule: Rule) -> str:
    """Description of the allowed values of a setting, for messages."""
    if rule.wanted:
        return rule.wanted
    if get_origin(kind) is Literal:
        return _listed([str(each) for each in get_args(kind)])
    if get_origin(kind) in _UNIONS:
        return " or ".join(wanted_text(each, rule) for each in get_args(kind) if each is not int)
    if kind is bool:
        return "true or false"
    if kind is str:
        return "a text"
    return rule.range_text("a whole number" if kind is int else "a number")


def _check_mapping(name: str, value: Any, kind: Any, rule: Rule) -> None:
    if not isinstance(value, Mapping):
        raise InvalidSettingError(name, value, "an object")
    if rule.keys is not None:
        try:
            check_keys(value, rule.keys, required=rule.keys)
        except SettingError as error:
            raise error.below(name) from None
    for key, item in value.items():
        if rule.key_pattern and not re.fullmatch(rule.key_pattern, str(key)):
            raise InvalidSettingError(f"a name in {name}", key, f"a name that matches {rule.key_pattern}")
        if not _is_of(item, kind, rule):
            raise InvalidSettingError(f"{name}.{key}", item, wanted_text(kind, rule))


def check_keys(document: Any, known: Collection[str], required: Collection[str] = ()) -> None:
    """Raise `SettingError` unless a document is an object with known keys and all required ones."""
    if not isinstance(document, Mapping):
        raise InvalidSettingError(_WHOLE, document, "an object")
    for key in sorted(set(document) - set(known)):
        raise SettingError(key, f"is not known: write one of {', '.join(sorted(known))}")
    for key in known:
        if key in required and key not in document:
            raise SettingError(key, "is missing")


def _listed(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


# -- JSON and YAML objects -------------------------------------------------------------------------
def read(group: type[S], document: Any) -> S:
    """The settings of a JSON or YAML object; nested groups are objects inside it.

    Absent keys of a mapping with fixed keys get their defaults.

    Raises:
        SettingError: not an object, a key missing or unknown, or a value that the setting does not allow.
    """
    settings = {each.name: each for each in settings_of(group)}
    check_keys(document, settings, {name for name, each in settings.items() if each.is_required})
    return group(**{name: _read_value(settings[name], value) for name, value in document.items()})


def _read_value(each: Setting, value: Any) -> Any:
    kind = each.plain_type
    if is_group(kind) and isinstance(value, Mapping):
        try:
            return read(kind, value)
        except SettingError as error:
            raise error.below(each.name) from None
    if each.rule.keys is not None and isinstance(value, Mapping):
        return {**{k: v for k, v in each.rule.keys.items() if v is not REQUIRED}, **value}
    return value
