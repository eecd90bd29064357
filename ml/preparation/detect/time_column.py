"""Form of a time column: as configured, or as its first values show it."""

from __future__ import annotations

from collections.abc import Sequence

from ml.preparation.detect.columns import ColumnNames
from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.layout import SECONDS, AnyLayout
from ml.preparation.detect.samples import Samples
from ml.preparation.detect.times import FORMS, ISO, AmbiguousTimeError, detect_times, is_local_time

_MAX_VALUES = 1_000
_MIN_VALUES = 20  # fewer may all be damaged


def times_of(samples: Samples, layout: AnyLayout) -> list[str]:
    """The first values of the time column; those of date and time of day joined by a space."""
    positions = [
        samples.columns.index(each) if isinstance(each, str) else each
        for each in (layout.time, layout.clock)
        if each is not None
    ]
    rows = samples.rows[:_MAX_VALUES]
    if not positions or max(positions) >= len(samples.columns):
        return []
    return [" ".join(row[position].strip() for position in positions) for row in rows]


def time_form_of(values: Sequence[str], names: ColumnNames, uri: str) -> tuple[str, str | None]:
    """The form of a column of times, and a warning if its times are local ones without a zone.

    Args:
        values: of the column.
        names: the configured form and zone.
        uri: the file, for messages.

    Raises:
        InputError: month and day cannot be told apart.
    """
    form = names.time_format
    if form is None:
        try:
            found = detect_times(values)
        except AmbiguousTimeError as error:
            raise InputError(f"{uri}: {error}") from None
        filled = [each for each in values if each.strip()]
        if found is None and len(filled) >= _MIN_VALUES:
            raise InputError(
                f"{uri}: times such as {filled[0].strip()[:40]!r} have no known form; give --time-format, "
                "another --time-column, or --no-time"
            )
        form = SECONDS if found is None else found.form
    if names.time_zone is not None or FORMS.get(form, FORMS[ISO]).units_per_s is not None:
        return form, None
    local = next((each.strip() for each in values if is_local_time(each.strip(), form)), None)
    if local is None:
        return form, None
    return form, (
        f"times such as {local!r} have no zone and are read as UTC; give --time-zone, such as Asia/Seoul, if "
        "they are local"
    )
