"""Times as Spark columns: the forms of :mod:`ml.preparation.detect.times`."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.detect.time_patterns import FIELDS, MONTHS, ZONE_NAMES, TimePattern
from ml.preparation.detect.times import ISO, NUMBER, UTC, form_of, pattern_of

_TEXT = "trim(time)"
_BETWEEN = "\x01"  # separates the fields of a time
_ISO_DATE = "^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"


def with_timestamp(events: DataFrame, form: str, zone: str = UTC) -> DataFrame:
    """Events with ``timestamp``: int64, Unix seconds, truncated; null if ``time`` does not have the form.

    ISO 8601 is read in all forms, and seconds in a column of ISO 8601.

    Args:
        events: ``time``: string.
        form: a key of FORMS, or a pattern of `strptime`.
        zone: of local times; a name of the tz database, or an offset such as +09:00.
    """
    units_per_s, pattern = form_of(form).units_per_s, pattern_of(form)
    known = F.lit(None).cast("bigint")
    if units_per_s is not None or form == ISO:
        known = _seconds_of_number(units_per_s or 1)
    if pattern is not None and form != ISO:
        events = _with_pattern(events, pattern, zone, known)
        known = F.col("timestamp")
    iso = pattern_of(ISO)
    if zone == UTC or iso is None:
        return events.withColumn("timestamp", F.coalesce(known, _seconds_of_iso()))
    return _with_pattern(events, iso, zone, known)


def _seconds_of_number(units_per_s: int) -> Column:
    # Plain digits first, since they are common and cheap to parse. try_cast returns null instead of an error,
    # also on a cluster in ANSI mode.
    whole = F.expr(f"try_cast({_TEXT} as bigint) div {units_per_s}")
    number = F.expr(f"try_cast(try_cast({_TEXT} as double) / {units_per_s} as bigint)")
    return F.coalesce(whole, F.when(F.expr(_TEXT).rlike(f"^{NUMBER}$"), number))


def _seconds_of_iso() -> Column:
    moment = F.expr(f"try_cast(try_cast({_TEXT} as timestamp) as bigint)")
    return F.when(F.expr(_TEXT).rlike(_ISO_DATE), moment)


def _with_pattern(events: DataFrame, pattern: TimePattern, zone: str, known: Column) -> DataFrame:
    """Events with ``timestamp``: that of a pattern where `known` is null."""
    # Columns of their own: in one expression, Spark would search for each field anew.
    fields = events.withColumn("known", known).withColumn("fields", _fields(pattern))
    parts = fields.withColumn("local", _local_seconds()).withColumn("offset", _offset_seconds())
    local = F.timestamp_seconds("local")
    utc = F.col("local") if zone == UTC else F.to_utc_timestamp(local, zone).cast("bigint")
    seconds = F.coalesce(F.col("local") - F.col("offset"), utc)
    timed = parts.withColumn("timestamp", F.coalesce("known", seconds))
    return timed.drop("known", "fields", "local", "offset")


def _fields(pattern: TimePattern) -> Column:
    """The FIELDS of a text, after an empty one; other texts have no fields."""
    replacement = (_BETWEEN + "".join(f"${group}" for group in pattern.groups[field]) for field in FIELDS)
    text = F.expr(_TEXT)
    found = F.regexp_replace(text, f"(?i)^{pattern.expression}$", "".join(replacement))
    return F.when(F.col("known").isNull() & ~text.contains(_BETWEEN), F.split(found, _BETWEEN, -1))


def _field(name: str) -> str:
    return f"get(fields, {FIELDS.index(name) + 1})"


def _number(name: str) -> str:
    return f"coalesce(try_cast({_field(name)} as int), 0)"


def _local_seconds() -> Column:
    """Seconds from 1970 to the fields without an offset; null if there is no such day."""
    short = f"try_cast({_field('short_year')} as int)"
    year = f"coalesce(try_cast({_field('year')} as int), {short} + if({short} >= 69, 1900, 2000))"
    named = f"(locate(lower(left({_field('month_name')}, 3)), '{MONTHS}') + 2) div 3"
    month = f"coalesce(try_cast({_field('month')} as int), {named})"
    days = f"unix_date(try_cast(concat_ws('-', {year}, {month}, {_field('day')}) as date))"
    hour, half = _number("hour"), f"lower({_field('half')})"
    is_afternoon = f"({half} LIKE 'p%' OR {half} = '오후')"
    hour = (
        f"CASE WHEN {is_afternoon} AND {hour} < 12 THEN {hour} + 12 "
        f"WHEN NOT {is_afternoon} AND {half} != '' AND {hour} = 12 THEN 0 ELSE {hour} END"
    )
    of_day = f"({hour}) * 3600 + {_number('minute')} * 60 + {_number('second')}"
    return F.expr(f"CASE WHEN size(fields) = {len(FIELDS) + 1} THEN {days} * 86400L + {of_day} END")


def _offset_seconds() -> Column:
    """Seconds by which a time is ahead of UTC; null if it has neither an offset nor the name of a zone."""
    named = " ".join(f"WHEN '{name}' THEN {int(hours * 3600)}" for name, hours in ZONE_NAMES.items())
    of_name = f"CASE upper({_field('zone')}) {named} ELSE 0 END"
    of_digits = f"{_number('zone_hours')} * 3600 + {_number('zone_minutes')} * 60"
    has_zone = f"{_field('zone')} != '' OR {_field('sign')} != ''"
    return F.expr(
        f"CASE WHEN {has_zone} THEN {of_name} + if({_field('sign')} = '-', -1, 1) * ({of_digits}) END"
    )
