"""Mapping of a source file's columns to the job's: by a configured name or position, or a usual name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ml.preparation.detect.id_column import choose_id
from ml.preparation.detect.input_error import InputError, printable, quoted
from ml.preparation.detect.published import position_in, published_form
from ml.preparation.detect.samples import Samples
from ml.preparation.detect.spellings import (
    EVENTS,
    first_named,
    known_spellings,
    spellings_of,
)
from ml.preparation.detect.time_choice import choose_time
from ml.settings.preparation import ReadSettings, WeightSettings

POSITION = re.compile(r"#([1-9][0-9]{0,3})")
_MAX_LISTED_COLUMNS = 20  # in a message


@dataclass(frozen=True)
class ColumnNames:
    """Configured names of the columns that are needed; None for a column to be found."""

    user: str | None = None
    item: str | None = None
    time: str | None = None
    clock: str | None = None  # time of day; None: found beside a date, unless the time is configured
    event: str | None = None
    weight: str | None = None  # None: no weight column is needed
    needs_event: bool = False  # whether the weight of an event depends on its type
    time_format: str | None = None  # form of the times; None: detected
    time_zone: str | None = None  # of times without one; None: UTC
    has_time: bool = True  # False: the events have no time, or it is not used
    event_types: frozenset[str] = frozenset()  # the types that have a weight

    @classmethod
    def from_settings(cls, read: ReadSettings, weights: WeightSettings) -> ColumnNames:
        """The columns that the settings require."""
        return cls(
            user=read.user_column,
            item=read.item_column,
            time=read.time_column,
            clock=read.clock_column,
            event=weights.event_column,
            weight=weights.weight_column,
            needs_event=bool(weights.event_weights),
            has_time=not read.no_time,
            time_format=read.time_format,
            time_zone=read.time_zone,
            event_types=frozenset(weights.event_weights),
        )

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the needed columns; the last, if any, determines the weight of an event."""
        needed = ["user", "item", *(["time"] if self.has_time else [])]
        if self.needs_event:
            needed.append("event")
        elif self.weight is not None:
            needed.append("weight")
        return tuple(needed)

    def configured(self, role: str) -> str | None:
        """The configured name or position of a role's column."""
        name: str | None = getattr(self, role)
        return name


@dataclass
class ColumnChoice:
    """The columns that were chosen by role, and what a person should know about the choice."""

    positions: dict[str, int | None]
    warnings: list[str] = field(default_factory=list)
    suggested: dict[str, str] = field(default_factory=dict)  # columns that may have a role that was not found


def count_names(columns: Sequence[str], names: ColumnNames) -> int:
    """Number of needed columns that have a configured or usual name among `columns`."""
    known = {spelling for column in columns for spelling in spellings_of(column)}
    n = 0
    for role in names.roles:
        configured = names.configured(role)
        if configured is not None and not POSITION.fullmatch(configured):
            n += configured in columns
        else:
            n += not known.isdisjoint(known_spellings(role))
    return n


def find_columns(columns: Sequence[str], names: ColumnNames, samples: Samples | None = None) -> ColumnChoice:
    """The position of each needed column by role; None if there is no such column.

    Args:
        columns: the names in the file.
        names: the columns that are needed.
        samples: values of the columns, which decide between several usual names.

    Raises:
        InputError: two columns could be meant; the message names both and the option.
    """
    choice = ColumnChoice({})
    samples = samples or Samples(columns, ())
    published = published_form(columns)
    if published is not None and published.note is not None and names.user is None:
        choice.warnings.append(published.note)
    for role in names.roles:
        configured = names.configured(role)
        if configured is not None:
            choice.positions[role] = position_of(columns, configured)
        elif published is not None and role in published.roles:
            choice.positions[role] = position_in(columns, published.roles[role])
        elif role == "time":
            _add_time(choice, samples)
        elif role == "event":
            choice.positions[role] = first_named(samples.columns, EVENTS)
        else:
            choice.positions[role] = choose_id(role, samples, choice.warnings)
    if names.has_time and names.clock is not None:
        choice.positions["clock"] = position_of(columns, names.clock)
    return choice


def _add_time(choice: ColumnChoice, samples: Samples) -> None:
    found = choose_time(samples, [choice.positions.get(role) for role in ("user", "item")])
    choice.positions.update(found.positions)
    if found.warning is not None:
        choice.warnings.append(found.warning)
    if found.suggested is not None:
        choice.suggested["time"] = found.suggested


def require_columns(
    choice: ColumnChoice, columns: Sequence[str], names: ColumnNames, uri: str
) -> dict[str, int | None]:
    """The positions of ``user``, ``item``, ``time`` and, if there are such columns, ``clock`` and ``value``.

    Args:
        choice: of :func:`find_columns`.
        columns: the columns of the file.
        names: the columns that are needed.
        uri: the file, for messages.

    Raises:
        InputError: a column is missing or appears twice; the message names it and lists the columns found.
    """
    known: dict[str, int | None] = {} if names.has_time else {"time": None}
    # Configured columns first, so that the message names a wrong setting before a missing spelling.
    positions = choice.positions
    for role in sorted(positions, key=lambda each: getattr(names, each, None) is None):
        configured, position = getattr(names, role, None), positions[role]
        if position is None:
            missing = f"no column {configured!r}" if configured is not None else f"no {role} column"
            listed = ", ".join(printable(column) for column in columns[:_MAX_LISTED_COLUMNS])
            name = f" {quoted(choice.suggested[role])}" if role in choice.suggested else ""
            advice = f"--{role}-column{name}{_no_time(role, configured, positions)}"
            raise InputError(f"{uri}: {missing}; columns found: {listed}; name it with {advice}")
        by_position = configured is not None and POSITION.fullmatch(configured)
        if not by_position and list(columns).count(columns[position]) > 1:
            raise InputError(
                f"{uri}: column {printable(columns[position])!r} appears more than once; rename one, or give "
                f"its position, as in --{role}-column '#{position + 1}'"
            )
        known["value" if role in ("event", "weight") else role] = position
    return known


def _no_time(role: str, configured: str | None, positions: Mapping[str, int | None]) -> str:
    """The option for events without a time, in the message about a column that was not found."""
    if role == "time":
        return "" if configured else ", or --no-time if the events have none"
    is_timed = positions.get("time", 0) is not None
    return "" if is_timed else ", and give --no-time if the events have none: there is no time column, either"


def position_of(columns: Sequence[str], configured: str) -> int | None:
    """The position of a configured column; None if there is no such column."""
    if configured in columns:
        return list(columns).index(configured)
    by_position = POSITION.fullmatch(configured)
    if by_position and int(by_position[1]) <= len(columns):
        return int(by_position[1]) - 1
    return None
