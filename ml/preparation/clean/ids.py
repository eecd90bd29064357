"""Ids of users and items as Spark columns: the rule of :mod:`ml.contract`."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import ID_CONTROL_CHARACTERS, ID_SPACE, ID_WHOLE_NUMBER, MISSING_IDS

_REPLACEMENT = "\ufffd"  # stands for bytes that are not valid UTF-8


def canonical_id(text: Column) -> Column:
    """As :func:`ml.contract.canonical_id`."""
    trimmed = F.btrim(text, F.lit(ID_SPACE))
    may_be_whole = trimmed.endswith("0") & trimmed.contains(".0")  # fast, unlike a regular expression
    whole = F.regexp_replace(trimmed, f"^{ID_WHOLE_NUMBER}$", "$1")
    changed = F.when(may_be_whole, whole).otherwise(trimmed)
    # Trimming takes longer than all other checks of an id, and few ids need it.
    last = F.substring(text, -1, 1)
    may_change = _may_be_space(text) | _may_be_space(last) | ((last == "0") & text.contains(".0"))
    return F.when(may_change, changed).otherwise(text)


def _may_be_space(text: Column) -> Column:
    """Whether a text starts with a space, a control character or one beyond ASCII; by byte order."""
    return (text < "!") | (text >= "\u0080")


def missing_ids(listed: str | None) -> frozenset[str]:
    """The texts that stand for a missing id: those of the contract, and those of a list with commas."""
    return MISSING_IDS.union(each.strip() for each in (listed or "").split(","))


def is_missing(id_column: Column, missing: Iterable[str]) -> Column:
    """Whether a normalised id is null or one of the texts that stand for a missing id."""
    return id_column.isNull() | id_column.isin(sorted(missing))


def has_bad_character(user: Column, item: Column) -> Column:
    """Whether an id has a control character or bytes that are not valid UTF-8; one search for both ids."""
    return F.concat(user, item).rlike(f"{ID_CONTROL_CHARACTERS}|{_REPLACEMENT}")


def bad_character_reason(user: Column, item: Column) -> Column:
    """The quarantine reason of an event for which `has_bad_character` is true."""
    is_not_utf8 = user.contains(_REPLACEMENT) | item.contains(_REPLACEMENT)
    return F.when(is_not_utf8, "not_utf8").otherwise("control_character_in_id")
