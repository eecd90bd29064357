"""Split rules: assignment of user-item pairs to train, validation and test.

A rule declares the statistics that it needs per user and per item.
:func:`ml.preparation.split.k_core.k_core` computes them in the same aggregation as its own counts. From
them the rule derives one row per kept user and one per kept item, which is small next to the pairs. A
pair is kept when its user and its item are kept; its split is a function of both rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import SPLITS
from ml.preparation.split.k_core import Core, Stage
from ml.settings.preparation import N_HELD_OUT

DAY_S = 86_400
TRAIN, VALIDATION, TEST = range(len(SPLITS))
_NEWEST_OF_HALF = ("newest_even", "newest_odd")
_LEAVE_LAST_OUT = {
    "rule": "leave-last-two-out-in-time",
    "order": "timestamp, then a hash of user_id and item_id, then a hash of item_id",
    "validation": "each user's second newest event",
    "test": "each user's newest event",
}


@dataclass(frozen=True)
class Assigned:
    """Which pairs go where."""

    users: DataFrame  # user_key, n_train, n_validation, n_test: int64, and what `split` reads
    items: DataFrame  # item_key
    split: Column  # of a pair beside its user's row: the split's position in SPLITS
    rule: Mapping[str, Any]  # for the manifest: at least "rule"


class SplitRule(Protocol):
    """A way to split."""

    def user_statistics(self) -> Sequence[Column]:
        """What it must know of each user's pairs."""

    def item_statistics(self) -> Sequence[Column]:
        """What it must know of each item's pairs."""

    def assign(self, pairs: DataFrame, core: Core, stage: Stage) -> Assigned:
        """Split the pairs of the core."""


@dataclass(frozen=True)
class LeaveLastOut:
    """Each user's newest pair to test, the one before to validation.

    Every step combines before it shuffles, so that one user with a large part of all pairs is no burden: the
    user's pairs are counted and bounded per task, and only a handful is ever ordered.
    """

    def user_statistics(self) -> Sequence[Column]:
        """The newest time in each of two halves that a user's pairs fall into by their hash."""
        of_half = F.pmod("item_key", F.lit(2))
        return [
            F.max(F.when(of_half == each, F.col("timestamp"))).alias(newest)
            for each, newest in enumerate(_NEWEST_OF_HALF)
        ]

    def item_statistics(self) -> Sequence[Column]:
        """Nothing."""
        return []

    def assign(self, pairs: DataFrame, core: Core, stage: Stage) -> Assigned:
        """Find the newest two pairs of each user."""
        # The newest of either half are two pairs: the second newest of all is no older than the older of
        # them. That leaves three pairs a user, or so, to be ordered.
        even, odd = (F.coalesce(newest, F.lit(0)) for newest in _NEWEST_OF_HALF)
        bounds = core.users.select("user_key", F.least(even, odd).alias("bound"))
        recent = pairs.join(bounds, on="user_key", how="inner").where("timestamp >= bound")
        candidates = recent.join(core.items.select("item_key"), on="item_key", how="left_semi")
        # Equal times are ordered by a hash of the pair: the item alone would hold out one end of its range.
        tie_break = F.xxhash64("user_key", "item_key")
        newest_first = Window.partitionBy("user_key").orderBy(
            F.desc("timestamp"), tie_break.desc(), F.desc("item_key")
        )
        recency = F.row_number().over(newest_first)
        # With this limit Spark keeps each task's first two a user before it shuffles (WindowGroupLimit).
        newest = candidates.withColumn("recency", recency).where(F.col("recency") <= N_HELD_OUT)
        held_out = newest.groupBy("user_key").agg(
            F.max(F.when(F.col("recency") == 1, F.col("item_key"))).alias("test_item"),
            F.max(F.when(F.col("recency") == N_HELD_OUT, F.col("item_key"))).alias("validation_item"),
        )
        users = core.users.select("user_key", "n_interactions").join(held_out, on="user_key", how="inner")
        one = F.lit(1).cast("bigint")
        sized = users.select(
            "user_key",
            "test_item",
            "validation_item",
            (F.col("n_interactions") - N_HELD_OUT).alias("n_train"),
            one.alias("n_validation"),
            one.alias("n_test"),
        )
        split = (
            F.when(F.col("item_key") == F.col("test_item"), TEST)
            .when(F.col("item_key") == F.col("validation_item"), VALIDATION)
            .otherwise(TRAIN)
        )
        return Assigned(stage(sized, "split-users"), core.items.select("item_key"), split, _LEAVE_LAST_OUT)


@dataclass(frozen=True)
class TimeCut:
    """The last days of all to test, the days before them to validation.

    A pair held out of a user or an item that has nothing in train is left out: it could only be ranked by a
    model that had seen the future.
    """

    test_days: int
    validation_days: int

    def user_statistics(self) -> Sequence[Column]:
        """``first``: the time of each user's first pair."""
        return [F.min("timestamp").alias("first")]

    def item_statistics(self) -> Sequence[Column]:
        """``first``: the time of each item's first pair."""
        return [F.min("timestamp").alias("first")]

    def assign(self, pairs: DataFrame, core: Core, stage: Stage) -> Assigned:
        """Cut, and leave out what train has not seen."""
        newest = pairs.agg(F.max("timestamp")).first()
        newest_s = newest[0] if newest is not None and newest[0] is not None else 0
        test_start_s = newest_s + 1 - self.test_days * DAY_S
        validation_start_s = test_start_s - self.validation_days * DAY_S
        is_in_train = F.col("first") < validation_start_s
        items = core.items.where(is_in_train).select("item_key")
        known = pairs.join(
            core.users.where(is_in_train).select("user_key"), on="user_key", how="left_semi"
        ).join(items, on="item_key", how="left_semi")
        split = (
            F.when(F.col("timestamp") >= test_start_s, TEST)
            .when(F.col("timestamp") >= validation_start_s, VALIDATION)
            .otherwise(TRAIN)
        )
        users = known.groupBy("user_key").agg(
            *(
                F.sum((split == position).cast("bigint")).alias(f"n_{name}")
                for position, name in enumerate(SPLITS)
            )
        )
        staged = stage(users, "split-users")
        kept = F.col("n_train") + F.col("n_validation") + F.col("n_test")
        n_unseen = _total(core.users, F.col("n_interactions")) - _total(staged, kept)
        rule = {
            "rule": "time-cut",
            "validation": f"events from {_iso(validation_start_s)} on, before the test split's",
            "test": f"events from {_iso(test_start_s)} on",
            "validation_start": _iso(validation_start_s),
            "test_start": _iso(test_start_s),
            "validation_days": self.validation_days,
            "test_days": self.test_days,
            "unseen_in_train": "filtered",
            "n_unseen_in_train": n_unseen,
        }
        return Assigned(staged, items, split, rule)


def _total(table: DataFrame, number: Column) -> int:
    summed = table.agg(F.sum(number)).first()
    return (summed[0] if summed else None) or 0


def _iso(moment_s: int) -> str:
    return datetime.fromtimestamp(moment_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
