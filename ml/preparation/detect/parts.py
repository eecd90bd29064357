"""Parts of one export, of which only the first has a header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ml.preparation.detect.as_before import has_form
from ml.preparation.detect.columns import ColumnNames
from ml.preparation.detect.hints import BACKSLASH, DOUBLED, TextHints
from ml.preparation.detect.layout import AnyLayout, TextLayout
from ml.preparation.detect.paths import LIST
from ml.preparation.detect.record import ROLES
from ml.preparation.detect.samples import Samples
from ml.preparation.detect.time_column import times_of


def first_part(layouts: Sequence[AnyLayout]) -> TextLayout | None:
    """The layout whose header holds for files without one, if there is exactly one with a header."""
    found = {each for each in layouts if isinstance(each, TextLayout) and each.header is not None}
    return found.pop() if len(found) == 1 else None


def may_be_part(layout: AnyLayout | None) -> bool:
    """Whether a file of this layout, or a refused one (None), may be a later part."""
    return layout is None or (isinstance(layout, TextLayout) and layout.header is None)


def names_of_part(first: TextLayout, names: ColumnNames) -> ColumnNames:
    """The names of the columns in a later part: their positions in the first."""
    columns = [*(f"#{number + 1}" for number in range(first.n_columns)), *first.partitions]
    places: dict[str, Any] = {role: getattr(first, role) for role in ROLES if role != "value"}
    found: dict[str, Any] = {
        role: None if place is None else columns[place] for role, place in places.items()
    }
    if first.has_item_lists:
        found["item"] += LIST
    if first.value is not None:
        found["event" if names.needs_event else "weight"] = columns[first.value]
    found["time_format"] = first.time_form if names.has_time else None
    return replace(names, **found)


def hints_of_part(first: TextLayout) -> TextHints:
    """The properties of a later part."""
    escape = DOUBLED if first.escape == (first.quote or first.escape) else BACKSLASH
    return TextHints(first.separator, first.quote or "", escape, first.encoding, has_header=False)


def is_part(first: TextLayout, layout: AnyLayout, samples: Samples) -> bool:
    """Whether a file, read with the columns of the first part, looks like a later part of it."""
    is_same_width = isinstance(layout, TextLayout) and layout.n_columns == first.n_columns
    return is_same_width and has_form(times_of(samples, layout), first.time_form)
