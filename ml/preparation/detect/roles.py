"""Columns of a file without a header, by the content of the first rows.

The time is the column whose values are times. Columns of a few small numbers or words are ratings or event
types. Of what is left, exactly two columns may look like ids; which of them is the user follows from the form
of the ids, else from the times: a user's events lie closer together than an item's. What is not decided by
this is refused, except for the order of MovieLens, user first, which is reported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ml.preparation.detect.columns import POSITION, ColumnNames, position_of
from ml.preparation.detect.id_order import burst_ratio, id_form
from ml.preparation.detect.input_error import InputError, printable
from ml.preparation.detect.lists import is_list
from ml.preparation.detect.samples import Samples
from ml.preparation.detect.times import is_time

RATING = "rating"  # name, in --weight-column, of the only column of small numbers

_MIN_TIMES = 0.5  # share of the values; a column of times with some damaged rows
_MAX_RATINGS, _MAX_TYPES = 15, 30  # distinct values of ratings, and of event types
_CODE_LENGTH = 3  # such as S or 12
_MIN_ROWS = 20  # fewer rows say nothing about distinct values
_BURST_RATIO = 3.0
_MAX_TITLES = 0.8  # distinct values of titles, as a share of the rows
_MIN_MATRIX = 30  # columns: more than events have without a header

_RATING = re.compile(r"-?\d{1,3}(?:\.\d+)?")
_WORD = re.compile(r"[^\W\d][^\W\d \-]{0,30}")
_ID = re.compile(r"\S+")
_DECIMAL = re.compile(r"-?\d+[.,]\d*[1-9]\d*")


def find_roles(
    samples: Samples, n_own: int, names: ColumnNames, uri: str
) -> tuple[dict[str, int | None], list[str]]:
    """The position of each needed column by role, and warnings.

    Args:
        samples: the first rows; the columns are named ``#1``, ``#2``, and those of partitions by their keys.
        n_own: number of the file's own columns. A partition is only used as the time, if there is no other.
        names: the configured positions; only roles without one are searched for.
        uri: the file, for messages.

    Raises:
        InputError: a column cannot be identified; the message has the first row and the options to give.
    """
    found: dict[str, int | None] = {}
    for role in (*names.roles, *(["clock"] if names.has_time else [])):
        configured = names.configured(role)
        if configured is not None and (POSITION.fullmatch(configured) or configured in samples.columns):
            found[role] = position_of(samples.columns, configured)
    keys = range(n_own, len(samples.columns))
    taken = {*keys, *(each for each in found.values() if each is not None)}
    if names.has_time and "time" not in found:
        days = [each for each in keys if is_time(samples.example(each))]
        found["time"] = _time(samples, taken, days, uri)
        taken.add(found["time"] or 0)
    codes = _codes(samples, taken)
    if "event" in names.roles and "event" not in found:
        found["event"] = _event(samples, codes, names)
    if "weight" in names.roles and "weight" not in found:
        found["weight"] = _rating(samples, codes)
    warnings: list[str] = []
    missing = [role for role in ("user", "item") if role not in found]
    if missing:
        taken |= {each for each in found.values() if each is not None}
        ids = _ids(samples, taken | codes) or _ids(samples, taken)
        chosen, warning = _users_and_items(samples, ids, found, missing, uri)
        found.update(chosen)
        if warning:
            warnings.append(warning)
    return found, warnings


def _time(samples: Samples, taken: set[int], days: Sequence[int], uri: str) -> int:
    times = []
    for position in range(len(samples.columns)):
        values = samples.present(position)
        if position not in taken and values and sum(map(is_time, values)) > _MIN_TIMES * len(values):
            times.append(position)
    if len(times) == 1 or (days and not times):
        return [*times, *days][0]
    if not times:
        is_matrix = len(samples.columns) >= _MIN_MATRIX
        raise InputError(
            f"{uri}: no header and no column of times in it; {_example(samples)}; "
            + (
                f"if each of the {len(samples.columns)} columns is an item, write one row per user and "
                f"item, and give --no-time: {_MATRIX_TO_ROWS}"
                if is_matrix
                else "give the position of the time, as in --time-column '#3', with --time-format if it is "
                "unusual, or --no-time"
            )
        )
    options = " or ".join(f"--time-column '{samples.columns[each]}'" for each in times)
    raise InputError(
        f"{uri}: no header, and {len(times)} columns hold times; {_example(samples)}; give {options}"
    )


# Of the data of Jester, in which 99 means no rating.
_MATRIX_TO_ROWS = (
    """awk -F, 'BEGIN {print "user_id,item_id,rating"} {for (i = 2; i <= NF; i++) """
    """if ($i != "" && $i != 99) print NR "," i - 1 "," $i}' FILE > events.csv"""
)


def _codes(samples: Samples, taken: set[int]) -> set[int]:
    """Columns of few distinct small numbers or words, decimal numbers, or nothing but one value."""
    found = set()
    is_movielens = samples.n_rows < _MIN_ROWS and len(samples.columns) == 4 and taken == {3}
    if is_movielens and all(map(_RATING.fullmatch, samples.present(2))):
        return {2}  # user, item, rating, time; too few rows to count distinct values
    for position in range(len(samples.columns)):
        values = samples.present(position)
        if position in taken:
            continue
        if not values or sum(map(bool, map(_DECIMAL.fullmatch, values))) > len(values) / 2:
            found.add(position)
            continue
        n_distinct = samples.n_distinct(position)
        is_rating = n_distinct <= _MAX_RATINGS and all(map(_RATING.fullmatch, values))
        is_rating = is_rating or (n_distinct <= _MAX_RATINGS and max(map(len, values)) <= _CODE_LENGTH)
        is_type = n_distinct <= _MAX_TYPES and all(map(_WORD.fullmatch, values))
        if (is_rating or is_type or n_distinct == 1) and 4 * n_distinct <= samples.n_rows:
            found.add(position)
    return found


def _event(samples: Samples, codes: set[int], names: ColumnNames) -> int | None:
    """The column that holds event types with a configured weight."""
    known = {each.casefold() for each in names.event_types}
    shares = {
        position: sum(value.casefold() in known for value in samples.present(position))
        for position in sorted(codes)
    }
    best = max(shares, key=lambda each: shares[each], default=None)
    return best if best is not None and shares[best] else None


def _rating(samples: Samples, codes: set[int]) -> int | None:
    """The only column of small numbers."""
    ratings = [each for each in codes if all(map(_RATING.fullmatch, samples.present(each)))]
    return ratings[0] if len(ratings) == 1 else None


def _ids(samples: Samples, excluded: set[int]) -> list[int]:
    """Columns that look like ids; of several, without those that another determines (categories)."""
    ids = [
        position
        for position in range(len(samples.columns))
        if position not in excluded
        and _mostly_ids(samples.present(position))
        and not (position == 0 and _is_row_number(samples.present(position)))
    ]
    if len(ids) <= 2:
        return ids
    finer = {
        each: [other for other in ids if other != each and _determines(samples, other, each)] for each in ids
    }
    # A session determines its user, and a price may determine an item: only what follows it is a category.
    for each in ids:
        if (each == ids[0] or _are_numbers(samples, each)) and any(other > each for other in finer[each]):
            return ids
    return [each for each in ids if not finer[each]]


def _are_numbers(samples: Samples, position: int) -> bool:
    return all(map(str.isdigit, samples.present(position)))


def _mostly_ids(values: Sequence[str]) -> bool:
    """Whether most values have no space, unlike titles."""
    return 2 * sum(map(bool, map(_ID.fullmatch, values))) > len(values)


def _is_row_number(values: Sequence[str]) -> bool:
    """Whether each value is one more than the one before, from 0 or 1 on."""
    if len(values) < _MIN_ROWS or values[0] not in ("0", "1") or not all(map(str.isdigit, values)):
        return False
    return all(int(later) == int(sooner) + 1 for sooner, later in zip(values, values[1:]))


def _determines(samples: Samples, first: int, second: int) -> bool:
    """Whether each value of a column comes with one value of another, later or with fewer values."""
    n_first, n_second = samples.n_distinct(first), samples.n_distinct(second)
    if n_second > n_first or (n_second == n_first and second < first):
        return False
    if n_first >= 0.9 * samples.n_rows:
        return False  # nearly every value occurs once, and determines everything
    pairs = {(row[first], row[second]) for row in samples.rows}
    return len(pairs) <= 1.02 * len({first for first, _ in pairs})


def _users_and_items(
    samples: Samples, ids: list[int], found: dict[str, int | None], missing: list[str], uri: str
) -> tuple[dict[str, int | None], str | None]:
    if len(missing) == 1:
        known = found["item" if missing == ["user"] else "user"]
        others = [each for each in ids if each != known]
        if len(others) == 1:
            return {missing[0]: others[0]}, None
        raise InputError(
            f"{uri}: no header, and {len(others)} columns could be the {missing[0]}; {_example(samples)}; "
            f"give --{missing[0]}-column '#N'"
        )
    if len(ids) > 2 and {id_form(samples, each) for each in ids[:2]} != {"user", "item"}:
        raise _refusal(samples, f"{len(ids)} columns look like ids", uri, ids)
    if len(ids) == 1:
        titles = _titles(samples, {each for each in found.values() if each is not None}, ids[0])
        if len(titles) == 1:
            chosen: dict[str, int | None] = {"user": ids[0], "item": titles[0]}
            return chosen, _order_warning(samples, ids[0], titles[0], "the only ids and the only titles")
    if len(ids) < 2:
        raise _refusal(samples, f"{len(ids)} of its columns look like ids", uri)
    first, second = ids[:2]
    forms = id_form(samples, first), id_form(samples, second)
    if forms in (("item", "user"), ("item", None), (None, "user")):
        by_form, swapped = True, True
    elif forms in (("user", "item"), ("user", None), (None, "item")):
        by_form, swapped = True, False
    else:
        by_form, swapped = False, False
        if burst_ratio(samples, first, second, found.get("time")) > _BURST_RATIO:
            raise _refusal(samples, "the item may come first", uri)
    user, item = (second, first) if swapped else (first, second)
    why = "by the form of the ids" if by_form else "in the order of MovieLens, user first"
    return {"user": user, "item": item}, _order_warning(samples, user, item, why)


def _order_warning(samples: Samples, user: int, item: int, why: str) -> str:
    """What was taken as user and item, with the options for the reverse."""
    reverse = f"--user-column '{samples.columns[item]}' --item-column '{samples.columns[user]}'"
    return (
        f"no header: user = {samples.columns[user]} (such as {printable(samples.example(user))}), item = "
        f"{samples.columns[item]} (such as {printable(samples.example(item))}), {why}; "
        f"if it is the reverse, give {reverse}"
    )


def _titles(samples: Samples, excluded: set[int], user: int) -> list[int]:
    """Columns of titles, such as the names of games, which several users have."""
    found = []
    for position in range(len(samples.columns)):
        values = samples.present(position)
        if position in excluded or _mostly_ids(values) or is_list(values):
            continue
        is_shared = samples.n_distinct(position) <= _MAX_TITLES * samples.n_rows
        is_shared = is_shared and not _determines(samples, user, position)
        if is_shared and not _determines(samples, position, user):
            found.append(position)
    return found


def _refusal(samples: Samples, why: str, uri: str, ids: Sequence[int] = (0, 1)) -> InputError:
    lists = [n for n in range(len(samples.columns)) if is_list(samples.present(n))]
    advice = (
        f"#{lists[0] + 1} holds lists: give --item-column '#{lists[0] + 1}[]' for one event per element"
        if lists
        else f"give the positions, as in --user-column '#{ids[0] + 1}' --item-column '#{ids[1] + 1}'"
    )
    return InputError(f"{uri}: no header, and {why}; {_example(samples)}; {advice}")


def _example(samples: Samples) -> str:
    """The first row, with positions."""
    row = samples.rows[0] if samples.rows else ()
    cells = [f"{name} = {printable(value)}" for name, value in zip(samples.columns, row)]
    return "first row: " + ", ".join(cells[:12])
