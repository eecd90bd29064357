"""Which of a file's columns holds what: by the caller's name for it, or by a common spelling."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml.preparation.errors import InputError

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
    "weight": (),  # only ever named
}
_N_LISTED = 20  # columns in a message
_N_LISTED_CHARACTERS = 40  # of each


@dataclass(frozen=True)
class ColumnNames:
    """The columns that are needed, as the caller names them; None leaves one to the common spellings."""

    user: str | None = None
    item: str | None = None
    time: str | None = None
    event: str | None = None
    weight: str | None = None  # None: no weight column is needed
    needs_event: bool = False  # events are weighed by their type

    @property
    def roles(self) -> tuple[str, ...]:
        """What the needed columns hold; the fourth, if there is one, says what an event weighs."""
        if self.needs_event:
            return ("user", "item", "time", "event")
        if self.weight is not None:
            return ("user", "item", "time", "weight")
        return ("user", "item", "time")

    def are_left_to_us(self, rating: str) -> bool:
        """Whether the caller names nothing, or only ``rating`` as the weight."""
        return not self.needs_event and self in (ColumnNames(), ColumnNames(weight=rating))


def find_columns(columns: Sequence[str], names: ColumnNames) -> dict[str, int | None]:
    """The position of each needed column by its role; None where there is no such column."""
    spelled = [re.sub(r"[^a-z0-9]", "", column.lower()) for column in columns]
    positions: dict[str, int | None] = {}
    for role in names.roles:
        wanted = getattr(names, role)
        if wanted is not None:
            positions[role] = columns.index(wanted) if wanted in columns else None
        else:
            known = (spelled.index(each) for each in SPELLINGS[role] if each in spelled)
            positions[role] = next(known, None)
    return positions


def require_columns(
    positions: Mapping[str, int | None], columns: Sequence[str], names: ColumnNames, uri: str
) -> dict[str, int]:
    """The positions, all known: ``user``, ``item``, ``time``, and ``value`` if events are weighed.

    Raises:
        InputError: one is not, or is ambiguous; the message names it and lists the columns found.
    """
    known: dict[str, int] = {}
    # What the caller names comes first: if that is not there, nothing else is worth telling.
    for role in sorted(positions, key=lambda each: getattr(names, each) is None):
        wanted, position = getattr(names, role), positions[role]
        if position is None:
            what = f"no column {wanted!r}" if wanted is not None else f"no {role} column"
            listed = ", ".join(_printable(column) for column in columns[:_N_LISTED])
            raise InputError(f"{uri}: {what}; columns found: {listed}; name it with --{role}-column")
        if list(columns).count(columns[position]) > 1:
            raise InputError(
                f"{uri}: column {_printable(columns[position])!r} appears more than once; rename one"
            )
        known["value" if role in ("event", "weight") else role] = position
    return known


def _printable(text: str) -> str:
    shown = text[:_N_LISTED_CHARACTERS]
    return "".join(character if character.isprintable() else "?" for character in shown)
