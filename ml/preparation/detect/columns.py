"""Mapping of a source file's columns to the job's: by a configured name or a common spelling."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml.preparation.detect.input_error import InputError
from ml.settings.preparation import ReadSettings, WeightSettings

# Compared in lower case without punctuation: "userId", "User ID" and "user_id" are one spelling.
SPELLINGS: Mapping[str, Sequence[str]] = {
    "user": ("userid", "user", "customerid", "customer", "memberid", "member", "visitorid", "uid"),
    "item": ("itemid", "item", "productid", "product", "movieid", "movie", "articleid", "sku", "asin", "iid"),
    "time": (
        "timestamp",
        "time",
        "ts",
        "eventtime",
        "eventtimestamp",
        "unixtime",
        "datetime",
        "createdat",
        "date",
    ),
    "event": ("eventtype", "event", "eventname", "action", "behavior", "behaviour", "type"),
    "weight": (),  # always configured
}
_MAX_LISTED_COLUMNS = 20  # in a message
_MAX_LISTED_CHARACTERS = 40  # per column


@dataclass(frozen=True)
class ColumnNames:
    """Configured names of the columns that are needed; None for a column found by a common spelling."""

    user: str | None = None
    item: str | None = None
    time: str | None = None
    event: str | None = None
    weight: str | None = None  # None: no weight column is needed
    needs_event: bool = False  # whether the weight of an event depends on its type

    @classmethod
    def from_settings(cls, read: ReadSettings, weights: WeightSettings) -> ColumnNames:
        """The columns that the settings require."""
        return cls(
            user=read.user_column,
            item=read.item_column,
            time=read.time_column,
            event=weights.event_column,
            weight=weights.weight_column,
            needs_event=bool(weights.event_weights),
        )

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the needed columns; the fourth, if any, determines the weight of an event."""
        if self.needs_event:
            return ("user", "item", "time", "event")
        if self.weight is not None:
            return ("user", "item", "time", "weight")
        return ("user", "item", "time")

    def allow_positions(self, rating: str) -> bool:
        """Whether columns may be identified by position: none is configured, except ``rating`` as weight."""
        return not self.needs_event and self in (ColumnNames(), ColumnNames(weight=rating))


def find_columns(columns: Sequence[str], names: ColumnNames) -> dict[str, int | None]:
    """The position of each needed column by role; None if there is no such column."""
    spelled = [re.sub(r"[^a-z0-9]", "", column.lower()) for column in columns]
    positions: dict[str, int | None] = {}
    for role in names.roles:
        configured = getattr(names, role)
        if configured is not None:
            positions[role] = columns.index(configured) if configured in columns else None
        else:
            known = (spelled.index(each) for each in SPELLINGS[role] if each in spelled)
            positions[role] = next(known, None)
    return positions


def require_columns(
    positions: Mapping[str, int | None], columns: Sequence[str], names: ColumnNames, uri: str
) -> dict[str, int]:
    """The positions of ``user``, ``item``, ``time`` and, if events have a weight, of ``value``.

    Args:
        positions: of :func:`find_columns`.
        columns: the columns of the file.
        names: the columns that are needed.
        uri: the file, for messages.

    Raises:
        InputError: a column is missing or ambiguous; the message names it and lists the columns found.
    """
    known: dict[str, int] = {}
    # Configured columns first, so that the message names a wrong setting before a missing spelling.
    for role in sorted(positions, key=lambda each: getattr(names, each) is None):
        configured, position = getattr(names, role), positions[role]
        if position is None:
            missing = f"no column {configured!r}" if configured is not None else f"no {role} column"
            listed = ", ".join(_printable(column) for column in columns[:_MAX_LISTED_COLUMNS])
            raise InputError(f"{uri}: {missing}; columns found: {listed}; name it with --{role}-column")
        if list(columns).count(columns[position]) > 1:
            raise InputError(
                f"{uri}: column {_printable(columns[position])!r} appears more than once; rename one"
            )
        known["value" if role in ("event", "weight") else role] = position
    return known


def _printable(text: str) -> str:
    shown = text[:_MAX_LISTED_CHARACTERS]
    return "".join(character if character.isprintable() else "?" for character in shown)
