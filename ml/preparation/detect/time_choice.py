"""The time column of a file with names: a usual name, or the only column with times of events."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ml.preparation.detect.samples import Samples, is_null
from ml.preparation.detect.spellings import CLOCKS, DATES, TIMES, first_named
from ml.preparation.detect.times import (
    AmbiguousTimeError,
    detect_times,
    is_clock,
    is_date,
    is_time,
    unix_seconds,
)

_MOSTLY = 0.5  # share of the sampled values
_NEARLY_ALL = 0.9
_MAX_ROWS = 200  # of a column without a usual name
_MIN_REPEATED = 5  # ids with several events: fewer do not show whether the times of an id differ
_SAME_MOMENT_S = 60  # two columns, one of them without milliseconds or in another zone
_DAY_S = 86_400
_HINT = re.compile(r"time|date|stamp|(?:^|[\W_])(?:dt|ts|at)(?:$|[\W_])|일시|일자|날짜|시각", re.IGNORECASE)
# Of a person, an item or a delivery, not of an event.
_OTHER_MEANING = re.compile(
    r"birth|dob|sign_?up|join|regist|releas|publi|expir|valid|due|deliver|ship|estimat|crawl|생년|출시|배송",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class TimeChoice:
    """The positions of ``time`` and, beside a date, ``clock``; a warning, and a column to suggest."""

    positions: dict[str, int | None]
    warning: str | None = None
    suggested: str | None = None  # that may be the time, if there is no other


def choose_time(samples: Samples, ids: Sequence[int | None]) -> TimeChoice:
    """The time column, and the column with the time of day if it is only a date.

    Args:
        samples: the first rows.
        ids: positions of users and items.
    """
    columns = samples.columns
    named = [position for name in TIMES if (position := first_named(columns, (name,))) is not None]
    found = list(dict.fromkeys(named))
    if not found:
        return _unnamed(samples, [each for each in ids if each is not None])
    timed = [each for each in found if _share(samples, each, is_time) > _MOSTLY]
    if not timed:
        return TimeChoice({"time": found[0]})
    date, clock = first_named(columns, DATES), first_named(columns, CLOCKS)
    if (
        date in timed
        and clock is not None
        and clock != date
        and _share(samples, date, is_date) > _MOSTLY
        and _share(samples, clock, is_clock) > _MOSTLY
        and not any(_share(samples, each, is_date) <= _MOSTLY for each in timed)
    ):
        return TimeChoice({"time": date, "clock": clock})
    precise = [each for each in timed if _share(samples, each, is_date) <= _MOSTLY]
    chosen = (precise or timed)[0]
    return TimeChoice({"time": chosen}, _others(samples, chosen, ids))


def _unnamed(samples: Samples, ids: Sequence[int]) -> TimeChoice:
    """The only column of times that differ between the events of a user and of an item."""
    timed = [each for each in _timed_columns(samples) if each not in ids]
    if len(timed) != 1:
        return TimeChoice({"time": None}, suggested=samples.columns[timed[0]] if timed else None)
    name = samples.columns[timed[0]]
    if len(ids) < 2 or not all(_differs_within(samples, timed[0], each) for each in ids):
        return TimeChoice({"time": None}, suggested=name)
    warning = f"time = {name}, the only column with times; if it is another, give --time-column"
    return TimeChoice({"time": timed[0]}, warning)


def _others(samples: Samples, chosen: int, ids: Sequence[int | None]) -> str | None:
    """A warning if other columns than those of users and items hold other times."""
    others = [
        samples.columns[each]
        for each in _timed_columns(samples)
        if each not in (chosen, *ids) and not _same_moments(samples, chosen, each)
    ]
    if not others:
        return None
    name, listed = samples.columns[chosen], ", ".join(others)
    return f"time = {name}, although {listed} could be meant; give --time-column to decide"


def _timed_columns(samples: Samples) -> list[int]:
    """Columns of times by their values, and for numbers also by their name."""
    first = Samples(samples.columns, samples.rows[:_MAX_ROWS])
    found = []
    for position, name in enumerate(samples.columns):
        values = first.present(position)
        if 2 * len(values) <= first.n_rows or _OTHER_MEANING.search(name):
            continue
        is_number = sum(value.replace(".", "", 1).isdigit() for value in values) > _MOSTLY * len(values)
        if is_number and not _HINT.search(name):
            continue
        if _share(first, position, is_time) > _NEARLY_ALL:
            found.append(position)
    return found


def _differs_within(samples: Samples, time: int, ids: int) -> bool:
    """Whether most ids with several events have several times, unlike a date of birth or of release."""
    times: defaultdict[str, list[str]] = defaultdict(list)
    for row in samples.rows:
        if not is_null(row[ids]):
            times[row[ids]].append(row[time])
    repeated = [each for each in times.values() if len(each) > 1]
    differing = sum(len(set(each)) > 1 for each in repeated)
    return len(repeated) >= _MIN_REPEATED and differing > _MOSTLY * len(repeated)


def _same_moments(samples: Samples, first: int, second: int) -> bool:
    """Whether two columns hold the same times, in other forms or zones, or one of them the day."""
    pairs = [(row[first].strip(), row[second].strip()) for row in samples.rows[:_MAX_ROWS]]
    pairs = [pair for pair in pairs if not any(map(is_null, pair))]
    try:
        forms = [detect_times([pair[number] for pair in pairs]) for number in (0, 1)]
    except AmbiguousTimeError:
        return False
    if forms[0] is None or forms[1] is None:
        return False
    moments = [(unix_seconds(a, forms[0].form), unix_seconds(b, forms[1].form)) for a, b in pairs]
    apart = [b - a for a, b in moments if a is not None and b is not None]
    if not apart:
        return False
    is_day = any(_share(samples, each, is_date) > _MOSTLY for each in (first, second))
    if is_day:
        return max(map(abs, apart)) < 2 * _DAY_S
    return max(apart) - min(apart) <= _SAME_MOMENT_S


def _share(samples: Samples, position: int, accepts: Callable[[str], bool]) -> float:
    values = samples.present(position)
    return sum(map(accepts, values)) / len(values) if values else 0.0
