"""Text columns with a list of items per row, such as the articles that a session has read: ``#4[]``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ml.preparation.detect.columns import ColumnNames
from ml.preparation.detect.input_error import InputError, printable
from ml.preparation.detect.paths import LIST
from ml.preparation.detect.samples import Samples

# Between elements, in Python's and in Java's syntax: `N1 N2`, `1|2`, `[1, 2]`, `['a', 'b']`.
BETWEEN_ELEMENTS = r"[ \t\r\n,;|\[\](){}'\"]+"
_BETWEEN = re.compile(BETWEEN_ELEMENTS)
_LABEL = re.compile(r".+-[01]")  # of an impression: N55689-1 was clicked, N35729-0 was not
_MOSTLY = 0.9
_MIN_ROWS = 20  # fewer rows say nothing about repeated elements


def without_list(names: ColumnNames) -> tuple[ColumnNames, bool]:
    """The names with the item's column itself, and whether it was configured as a list."""
    if names.item is None or not names.item.endswith(LIST):
        return names, False
    return replace(names, item=names.item[: -len(LIST)]), True


def is_list(values: Sequence[str]) -> bool:
    """Whether most values are several ids, of which many occur in other values, too."""
    lists = [_elements(value) for value in values]
    known = Counter(element for each in lists for element in set(each))
    n_lists = sum(len(each) > 1 and all(any(map(str.isdigit, word)) for word in each) for each in lists)
    return 2 * n_lists > len(values) >= _MIN_ROWS and sum(n > 1 for n in known.values()) > len(known) / 4


def refuse_lists(
    samples: Samples,
    positions: Mapping[str, int | None],
    names: ColumnNames,
    uri: str,
    *,
    is_text: bool = True,
) -> None:
    """Raise InputError if a column of users or items, which is not configured, holds lists in a text.

    Args:
        samples: the first rows.
        positions: the columns by role.
        names: the configured columns.
        uri: the file, for messages.
        is_text: delimited text, in which the lists of items can be read.
    """
    for role in ("user", "item"):
        position = positions.get(role)
        if names.configured(role) is not None or position is None or not is_list(samples.present(position)):
            continue
        name = samples.columns[position]
        if role == "item" and is_text:
            advice = f"--item-column '{name}[]' for one event per element"
        else:
            advice = f"another --{role}-column, write one row per {role}"
        raise InputError(
            f"{uri}: {printable(name)} holds lists such as {printable(samples.example(position))!r}; give "
            f"{advice}, or --{role}-column '{name}' if this is one id"
        )


def refuse_adjacency(records: Sequence[Sequence[str]], uri: str) -> None:
    """Raise InputError if a line has an id and all its items, as in the data of LightGCN and of CiteULike."""
    sizes = Counter(map(len, records))
    is_ragged = len(records) >= _MIN_ROWS and 2 * max(sizes.values()) < len(records)
    if not is_ragged or not all(field.isdigit() for record in records for field in record):
        return
    is_counted = all(int(record[0]) == len(record) - 1 for record in records)
    user = "NR" if is_counted else "$1"
    raise InputError(
        f"{uri}: the lines have {min(sizes)} to {max(sizes)} numbers: all items of a user; write one row per "
        f"item, and give --no-time: awk -F'[ \\t,]+' 'BEGIN {{print \"user_id,item_id\"}} "
        f'{{for (i = 2; i <= NF; i++) if ($i != "") print {user} "," $i}}\' FILE > events.csv'
    )


def _elements(value: str) -> list[str]:
    return [each for each in _BETWEEN.split(value) if each]


def exploded(samples: Samples, position: int) -> Samples:
    """One row per element of a column; a row without elements has an empty one."""
    rows = [
        [*row[:position], element, *row[position + 1 :]]
        for row in samples.rows
        for element in _elements(row[position]) or [""]
    ]
    return Samples(samples.columns, rows)


def refuse_labels(samples: Samples, position: int, uri: str) -> None:
    """Raise InputError if the elements are impressions with a label, which is no part of the id."""
    elements = samples.present(position)
    if elements and sum(bool(_LABEL.fullmatch(each)) for each in elements) > _MOSTLY * len(elements):
        raise InputError(
            f"{uri}: {samples.columns[position]} holds impressions such as {elements[0]}, which end in -1 if "
            "they were clicked and in -0 if not; give --item-column another list, or write one row "
            "for each click"
        )
