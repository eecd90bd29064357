"""Which of two columns of ids holds the users: by the form of the ids, and by the times of their events."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict

from ml.preparation.detect.samples import Samples
from ml.preparation.detect.times import AmbiguousTimeError, detect_times, unix_seconds

_MIN_GAPS = 20  # fewer say nothing about the times of a user
_MAX_TIMES = 200  # that tell the form of a column

_ITEM_FORMS = (
    re.compile(r"B0[0-9A-Z]{8}"),  # ASIN
    re.compile(r"(?:97[89])?\d{9}[\dX]"),  # ISBN
    re.compile(r"(?:i|item|p|prod|product|sku|movie|m|상품)[_-]?\d+", re.IGNORECASE),
    re.compile(r"tt\d{7,8}"),  # IMDb
)
_USER_FORMS = (
    re.compile(r"A[0-9A-Z]{9,20}"),  # Amazon reviewer
    re.compile(r"(?:u|user|usr|c|cust|customer|member|mb|회원|고객)[_-]?\d+", re.IGNORECASE),
    re.compile(r"[^@\s]+@[^@\s]+\.\w+"),
)


def has_reversed_forms(samples: Samples, user: int, item: int) -> bool:
    """Whether the ids have the form of items in the user column, or of users in the item column."""
    return id_form(samples, user) == "item" or id_form(samples, item) == "user"


def id_form(samples: Samples, position: int) -> str | None:
    """Whether ids have the form of users or of items; None if they have neither."""
    values = samples.present(position)[:200]
    for role, forms in (("item", _ITEM_FORMS), ("user", _USER_FORMS)):
        n_matches = sum(any(form.fullmatch(value) for form in forms) for value in values)
        is_number = all(value.isdigit() and not value.startswith("0") for value in values)
        if values and 2 * n_matches > len(values) and not is_number:
            return role
    return None


def burst_ratio(samples: Samples, user: int, item: int, time: int | None) -> float:
    """How much closer together the events of an item are than those of a user; 1 if that is not known."""
    gaps = [_median_gap(samples, position, time) for position in (user, item)]
    return gaps[0] / gaps[1] if gaps[0] and gaps[1] else 1.0


def _median_gap(samples: Samples, position: int, time: int | None) -> float | None:
    """The median time between events of the same id."""
    if time is None:
        return None
    try:
        found = detect_times(samples.present(time)[:_MAX_TIMES])
    except AmbiguousTimeError:
        return None
    if found is None:
        return None
    by_id: defaultdict[str, list[float]] = defaultdict(list)
    for row in samples.rows:
        moment = unix_seconds(row[time].strip(), found.form)
        if moment is not None:
            by_id[row[position]].append(moment)
    gaps = [
        later - sooner for times in by_id.values() for sooner, later in zip(sorted(times), sorted(times)[1:])
    ]
    return max(statistics.median(gaps), 1.0) if len(gaps) >= _MIN_GAPS else None
