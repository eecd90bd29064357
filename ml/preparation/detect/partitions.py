"""Partitions of a folder: keys and values of folders such as ``dt=2026-11-23`` or ``year=2026/month=11``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from urllib.parse import unquote

DATE = "date"  # also the day of folders year=, month= and day=
NULL_VALUE = "__HIVE_DEFAULT_PARTITION__"
DATE_PARTS = ("year", "month", "day")
_PAIR = re.compile(r"(?:^|/)([^/=]+)=([^/]*)(?=/)")
_DAY_KEYS = ("dt", "date")  # whose values must be days; other keys may have days
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}")
_NUMBER = re.compile(r"[0-9]{1,4}")


def partitions_of(path: str) -> dict[str, str]:
    """The keys and values of the folders on the path of a file; Hive encodes what a name cannot hold.

    With the keys year, month and day, there is also the key ``date``.
    """
    values = {key: unquote(value) for key, value in _PAIR.findall(path)}
    found = {key: "" if value == NULL_VALUE else value for key, value in values.items()}
    day = day_of_parts(found)
    return found if day is None or DATE in found else {**found, DATE: day.isoformat()}


def day_of_folder(name: str, above: Mapping[str, str]) -> date | None:
    """The day of a folder by its name and the keys of the folders above it; None if it is no single day.

    Raises:
        ValueError: the key means a day, and the value is none; the error is the value.
    """
    key, separator, value = name.partition("=")
    if not separator:
        return None
    day = _day(value)
    if day is None and key.lower() in _DAY_KEYS:
        raise ValueError(value)
    if day is None and key in DATE_PARTS:
        return day_of_parts({**above, key: value})
    return day


def day_of_parts(values: Mapping[str, str]) -> date | None:
    """The day of the keys year, month and day; None if one of them is missing or they are no day."""
    parts = [values.get(key, "") for key in DATE_PARTS]
    if not all(map(_NUMBER.fullmatch, parts)):
        return None
    try:
        return date(*map(int, parts))
    except ValueError:
        return None


def _day(value: str) -> date | None:
    if not _DAY.fullmatch(value):  # strptime accepts days of fewer digits, too
        return None
    try:
        # Not fromisoformat, which accepts more spellings from Python 3.11 on.
        return datetime.strptime(value.replace("-", ""), "%Y%m%d").date()  # noqa: DTZ007
    except ValueError:
        return None
