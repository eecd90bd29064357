"""Reading a file as the previous run did: its layouts as explicit settings, and changes that are refused.

A file is read as before if that gives the rows that its own form gives. Any other change is an error, which
names the file, what has changed and both values. Configured settings come before those of the previous run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml.preparation.detect.columns import ColumnNames
from ml.preparation.detect.hints import BACKSLASH, DOUBLED, FIRST_LINE, NO_HEADER, TextHints
from ml.preparation.detect.id_order import has_reversed_forms
from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.layout import TextLayout
from ml.preparation.detect.record import ROLES
from ml.preparation.detect.rows import DetectedRows
from ml.preparation.detect.time_column import times_of
from ml.preparation.detect.times import unix_seconds

ACCEPT = "--layout detect"
_COMPARED = ("separator", "encoding", "quote", "escape")
_MIN_TIMES = 0.5  # share of the sampled times that have the form
_MAX_TIMES = 200  # compared


@dataclass(frozen=True)
class PreviousLayouts:
    """How the previous run of the same input read its files."""

    run: str  # its URI
    records: tuple[Mapping[str, Any], ...]  # of ml.preparation.detect.record

    def of_format(self, file_format: str) -> list[Mapping[str, Any]]:
        """The records of files of a format."""
        return [each for each in self.records if each["format"] == file_format]


def names_as_before(names: ColumnNames, record: Mapping[str, Any]) -> ColumnNames:
    """The names of the columns in a record, and the form of the times, where none is configured."""
    columns = record["columns"]
    before: dict[str, Any] = {role: columns.get(role) for role in ("user", "item")}
    if names.has_time:
        before["time_format"] = record["time_format"]
        before |= {role: columns.get(role) for role in ("time", "clock")} if names.time is None else {}
    if names.needs_event:
        before["event"] = columns.get("value")
    return replace(names, **{name: each for name, each in before.items() if getattr(names, name) is None})


def hints_as_before(hints: TextHints, record: Mapping[str, Any]) -> TextHints:
    """The properties of text in a record, where none is configured."""
    if record["format"] != "text":
        return hints
    before: dict[str, Any] = {
        "separator": record["separator"],
        "quote": record["quote"] or "",
        "escape": DOUBLED if record["escape"] == (record["quote"] or record["escape"]) else BACKSLASH,
        "encoding": record["encoding"],
        "has_header": record["header"] is not None,
    }
    return replace(hints, **{name: each for name, each in before.items() if getattr(hints, name) is None})


def fits(record: Mapping[str, Any], before: DetectedRows, now: DetectedRows | None) -> bool:
    """Whether a file can be read as before.

    Args:
        record: of the previous run.
        before: the file, with the settings of the previous run.
        now: the file as it is detected without them; None if it is refused.
    """
    layout = before.layout
    if isinstance(layout, TextLayout) and layout.header is None:
        # Positions tell nothing about columns that have moved.
        if layout.n_columns != record["n_columns"]:
            return False
        if has_reversed_forms(before.samples, layout.user, layout.item):
            return False
    times = times_of(before.samples, layout)
    if not has_form(times, layout.time_form):
        return False
    if now is None:
        return True
    if before.samples.columns != now.samples.columns or before.samples.rows != now.samples.rows:
        return False
    is_same_column = (layout.time, layout.clock) == (now.layout.time, now.layout.clock)
    return not is_same_column or is_same_form(times, layout.time_form, now.layout.time_form)


def has_form(times: Sequence[str], form: str) -> bool:
    """Whether at least half of some times have a form; also if there are none."""
    filled = [each.strip() for each in times if each.strip()][:_MAX_TIMES]
    return sum(unix_seconds(each, form) is not None for each in filled) >= _MIN_TIMES * len(filled)


def is_same_form(times: Sequence[str], before: str, now: str) -> bool:
    """Whether all times that a form reads are the same in an earlier one."""
    moments = (
        (unix_seconds(each.strip(), before), unix_seconds(each.strip(), now)) for each in times[:_MAX_TIMES]
    )
    return before == now or all(after is None or after == earlier for earlier, after in moments)


def is_same_layout(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two records have the same settings; columns that are not read may differ."""
    return not any(_changes(before, now))


def new_columns(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Columns that were added or removed in a file that is read as before; None if there are none."""
    headers = before.get("header") or [], now.get("header") or []
    added = [each for each in headers[1] if each not in headers[0]]
    removed = [each for each in headers[0] if each not in headers[1]]
    parts = [f"new columns {', '.join(added)}"] if added else []
    parts += [f"missing columns {', '.join(removed)}"] if removed else []
    return f"{' and '.join(parts)}; the others are read as before" if parts else None


def changed_types(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Columns of a table whose type has changed; their values are read by the same rules."""
    for role, kind in now.get("types", {}).items():
        old = before.get("types", {}).get(role, kind)
        if old != kind:
            column = now["columns"][role]
            yield f"the type of {column} was {old} and is now {kind}; {role}s are read as before"


def change_error(uri: str, previous: PreviousLayouts, now: Mapping[str, Any] | InputError) -> InputError:
    """The refusal of a file that cannot be read as before.

    Args:
        uri: the file.
        previous: the previous run.
        now: how the file is read by itself, or why it cannot be read.
    """
    if isinstance(now, InputError):
        return InputError(f"{now}; run {previous.run} could read its files of this input")
    nearest = min((list(_changes(each, now)) for each in previous.records), key=len)
    changes = ", ".join(f"{name} was {old} and is now {new}" for name, old, new in nearest)
    return InputError(
        f"{uri}: changed since run {previous.run}: {changes}; if this is right, give {ACCEPT} for one run"
    )


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What differs: name, old and new value."""
    if before["format"] != now["format"]:
        yield "format", before["format"], now["format"]
        return
    for name in _COMPARED:
        if before.get(name) != now.get(name):
            yield name, repr(before.get(name)), repr(now.get(name))
    for role in ROLES:
        old, new = before["columns"].get(role), now["columns"].get(role)
        if old != new:
            yield f"{role} column", str(old), str(new)
    if now["format"] == "text":
        headers = [each["header"] for each in (before, now)]
        if (headers[0] is None) != (headers[1] is None):
            first, second = (NO_HEADER if each is None else FIRST_LINE for each in headers)
            yield "header", first, second
        elif headers[0] is None and before["n_columns"] != now["n_columns"]:
            yield "number of columns", str(before["n_columns"]), str(now["n_columns"])
    if before["time_format"] != now["time_format"]:
        yield "time_format", str(before["time_format"]), str(now["time_format"])
