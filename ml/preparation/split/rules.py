"""Split rules: assignment of user-item pairs to train, validation and test.

A rule declares the statistics that it needs per user and per item.
:func:`ml.preparation.split.k_core.k_core` computes them in the same aggregation as its own counts. From
them the rule derives one row per kept user and one per kept item, which are few compared with the pairs. A
pair is kept when its user and its item are kept; its split is a function of the pair and of its user's row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import RANDOM_SPLIT, SPLITS
from ml.preparation.spark.totals import Checkpoint, Totals
from ml.preparation.split.k_core import KCore
from ml.preparation.split.unseen import UnseenItems, unseen_items, unseen_totals
from ml.settings.preparation import N_HELD_OUT, TIME_CUT, SplitSettings

DAY_S = 86_400
TRAIN, VALIDATION, TEST = range(len(SPLITS))
_NEWEST_OF_HALF = ("newest_even", "newest_odd")
_LEAVE_LAST_OUT = {
    "rule": "leave-last-two-out-in-time",
    "order": "timestamp, then a hash of user_id and item_id, then a hash of item_id",
    "validation": "each user's second newest event",
    "test": "each user's newest event",
}


_LEAVE_RANDOM_OUT = {
    "rule": RANDOM_SPLIT,
    "order": "a hash of user_id and item_id: the events have no time",
    "validation": "one event of each user, by the hash",
    "test": "another event of each user, by the hash",
}


@dataclass(frozen=True)
class SplitAssignment:
    """Kept users and items, and the split of each of their pairs."""

    users: DataFrame  # user_key; n_train, n_validation, n_test: int64; columns that `split` reads
    items: DataFrame  # item_key
    n_users: int
    n_items: int
    rows: Mapping[str, int]  # number of pairs by split
    unseen: UnseenItems
    split: Column  # position in SPLITS, of a pair joined with its row of `users`
    rule: Mapping[str, Any]  # for the manifest: at least "rule"


class SplitRule(Protocol):
    """Rule that assigns pairs to splits."""

    def user_statistics(self) -> Sequence[Column]:
        """Aggregations of each user's pairs that the rule needs."""

    def item_statistics(self) -> Sequence[Column]:
        """Aggregations of each item's pairs that the rule needs."""

    def assign(self, pairs: DataFrame, core: KCore, checkpoint: Checkpoint) -> SplitAssignment:
        """Assign each pair of the k-core to a split."""


@dataclass(frozen=True)
class LeaveLastOut:
    """Each user's newest pair to test, the second newest to validation; without times, two by their hash.

    A user with a large share of all pairs is not a bottleneck: all aggregations are partial before the
    shuffle, and only a few candidates per user are sorted.
    """

    random_seed: int | None = None  # of the keys, if all pairs have the same time

    def user_statistics(self) -> Sequence[Column]:
        """The newest time in each of two halves of a user's pairs, by the parity of the item key."""
        of_half = F.pmod("item_key", F.lit(2))
        return [
            F.max(F.when(of_half == each, F.col("timestamp"))).alias(newest)
            for each, newest in enumerate(_NEWEST_OF_HALF)
        ]

    def item_statistics(self) -> Sequence[Column]:
        """No statistics."""
        return []

    def assign(self, pairs: DataFrame, core: KCore, checkpoint: Checkpoint) -> SplitAssignment:
        """Find the newest two pairs of each user."""
        kept = core.users.select("user_key", "n_interactions")
        users = kept.join(_newest_two(pairs, core), on="user_key", how="inner")
        one = F.lit(1).cast("bigint")
        sized = users.select(
            "user_key",
            "test_item",
            "validation_item",
            (F.col("n_interactions") - N_HELD_OUT).alias("n_train"),
            one.alias("n_validation"),
            one.alias("n_test"),
        )
        is_test = F.col("item_key") == F.col("test_item")
        is_validation = F.col("item_key") == F.col("validation_item")
        split = F.when(is_test, TEST).when(is_validation, VALIDATION).otherwise(TRAIN)
        items = core.items.select("item_key")
        kept_users, totals = checkpoint(sized, "split-users", *_row_totals(), *unseen_totals(core.n_items))
        return SplitAssignment(
            users=kept_users,
            items=items,
            n_users=core.n_users,
            n_items=core.n_items,
            rows=_rows_by_split(totals),
            unseen=unseen_items(totals),
            split=split,
            rule=_LEAVE_LAST_OUT
            if self.random_seed is None
            else {**_LEAVE_RANDOM_OUT, "seed": self.random_seed},
        )


def _newest_two(pairs: DataFrame, core: KCore) -> DataFrame:
    """``user_key``; ``test_item``, ``validation_item``: keys of the items of each user's newest two pairs."""
    # The newest pair of each half: the second newest pair of the user is at least as new as the older of the
    # two. With that lower bound, about three pairs per user are left to sort.
    even, odd = (F.coalesce(newest, F.lit(0)) for newest in _NEWEST_OF_HALF)
    bounds = core.users.select("user_key", F.least(even, odd).alias("bound"))
    recent = pairs.join(bounds, on="user_key", how="inner").where("timestamp >= bound")
    candidates = recent.join(core.items.select("item_key"), on="item_key", how="left_semi")
    # Ties are broken by a hash of the pair: item order would always hold out the same end of the catalogue.
    tie_break = F.xxhash64("user_key", "item_key")
    newest_first = Window.partitionBy("user_key").orderBy(
        F.desc("timestamp"), tie_break.desc(), F.desc("item_key")
    )
    recency = F.row_number().over(newest_first)
    # With this limit Spark keeps two rows per user and task before the shuffle (WindowGroupLimit).
    newest = candidates.withColumn("recency", recency).where(F.col("recency") <= N_HELD_OUT)
    is_newest, is_second = F.col("recency") == 1, F.col("recency") == N_HELD_OUT
    return newest.groupBy("user_key").agg(
        F.max(F.when(is_newest, F.col("item_key"))).alias("test_item"),
        F.max(F.when(is_second, F.col("item_key"))).alias("validation_item"),
    )


@dataclass(frozen=True)
class TimeCut:
    """The last days of the data to test, the days before them to validation.

    Held-out pairs of a user or an item without a pair in train are dropped, since the model cannot rank them.
    """

    test_days: int
    validation_days: int

    def user_statistics(self) -> Sequence[Column]:
        """``first``: the time of each user's first pair."""
        return [F.min("timestamp").alias("first")]

    def item_statistics(self) -> Sequence[Column]:
        """``first``: the time of each item's first pair."""
        return [F.min("timestamp").alias("first")]

    def assign(self, pairs: DataFrame, core: KCore, checkpoint: Checkpoint) -> SplitAssignment:
        """Find the cut times, and drop pairs of users and items without a pair in train."""
        newest = pairs.agg(F.max("timestamp")).first()
        newest_s = newest[0] if newest is not None and newest[0] is not None else 0
        test_start_s = newest_s + 1 - self.test_days * DAY_S
        validation_start_s = test_start_s - self.validation_days * DAY_S
        is_in_train = F.col("first") < validation_start_s
        known_users = core.users.where(is_in_train).select("user_key")
        items = core.items.where(is_in_train).select("item_key")
        of_known_users = pairs.join(known_users, on="user_key", how="left_semi")
        known = of_known_users.join(items, on="item_key", how="left_semi")
        is_test = F.col("timestamp") >= test_start_s
        is_validation = F.col("timestamp") >= validation_start_s
        split = F.when(is_test, TEST).when(is_validation, VALIDATION).otherwise(TRAIN)
        sizes = (
            F.sum((split == position).cast("bigint")).alias(f"n_{name}")
            for position, name in enumerate(SPLITS)
        )
        n_items = items.count()
        users, totals = checkpoint(
            known.groupBy("user_key").agg(*sizes),
            "split-users",
            *(F.count("*").alias("n"), *_row_totals(), *unseen_totals(n_items)),
        )
        rows = _rows_by_split(totals)
        n_unseen = _total(core.users, F.col("n_interactions")) - sum(rows.values())
        return SplitAssignment(
            users=users,
            items=items,
            n_users=totals["n"],
            n_items=n_items,
            rows=rows,
            unseen=unseen_items(totals),
            split=split,
            rule=self._describe(validation_start_s, test_start_s, n_unseen),
        )

    def _describe(self, validation_start_s: int, test_start_s: int, n_unseen: int) -> dict[str, Any]:
        """The rule as written to the manifest."""
        return {
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


def split_rule(settings: SplitSettings, random_seed: int | None = None) -> SplitRule:
    """The rule that the settings select.

    Args:
        settings: the rule.
        random_seed: seed of the keys, for events without times; None for events with times.
    """
    if settings.split == TIME_CUT:
        return TimeCut(settings.test_days or 1, settings.validation_days or 1)
    return LeaveLastOut(random_seed)


def _row_totals() -> list[Column]:
    """The number of pairs of each split, as totals of the kept users."""
    return [F.sum(f"n_{split}").alias(split) for split in SPLITS]


def _rows_by_split(totals: Totals) -> dict[str, int]:
    return {split: totals[split] or 0 for split in SPLITS}


def _total(table: DataFrame, number: Column) -> int:
    summed = table.agg(F.sum(number)).first()
    return (summed[0] if summed else None) or 0


def _iso(moment_s: int) -> str:
    return datetime.fromtimestamp(moment_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
