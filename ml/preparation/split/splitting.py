"""Split step: usable events to the pairs of a run, each with its split."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.errors import InputError
from ml.preparation.heavy_ids import heavy_id_warning
from ml.preparation.read.previous_run import PreviousRun
from ml.preparation.spark.concurrency import run_concurrently
from ml.preparation.spark.totals import Checkpoint, Totals
from ml.preparation.split.k_core import k_core
from ml.preparation.split.keys import FIRST_SEED, HEAVY_EVENTS, choose_seed, count_ids, heavy_keys
from ml.preparation.split.pairs import deduplicate_events
from ml.preparation.split.rules import SplitAssignment, split_rule
from ml.settings.preparation import SplitSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitPairs:
    """Pairs of a run by key, with their splits."""

    user_ids: DataFrame  # user_id: all users with a usable event
    item_ids: DataFrame  # item_id: all items with a usable event
    n_user_ids: int
    n_item_ids: int
    seed: int  # of the keys
    pairs: DataFrame  # columns of deduplicate_events; those of at least the minimum weight
    assignment: SplitAssignment
    n_pairs: int  # before filtering
    rows: Mapping[str, int]  # by split


def split_events(
    events: DataFrame,
    settings: SplitSettings,
    previous: PreviousRun | None,
    checkpoint: Checkpoint,
    *,
    source: str,
    has_time: bool = True,
    heavy_events: int = HEAVY_EVENTS,
) -> SplitPairs:
    """Deduplicate, filter and split the usable events.

    Args:
        events: ``user_id``, ``item_id``, ``timestamp``, ``weight``.
        settings: filters and split rule.
        previous: a run whose ids get keys too.
        checkpoint: cuts the lineage of a table.
        source: the input, for messages.
        has_time: whether the events have a time.
        heavy_events: a user with more events is spread over several tasks.

    Raises:
        InputError: a split would be empty.
        StepError: the ids collide, or the k-core has no fixed point.
    """
    (users, of_users), (items, of_items) = run_concurrently(
        lambda: checkpoint(count_ids(events, "user_id", are_many=True), "user-ids", *_sizes("user_id")),
        lambda: checkpoint(count_ids(events, "item_id"), "item-ids", *_sizes("item_id")),
    )
    user_ids, item_ids = users.select("user_id"), items.select("item_id")
    _warn_of_heavy_id("user", of_users)
    _warn_of_heavy_id("item", of_items)
    has_heavy = (of_users["most"] or 0) > heavy_events

    def write_pairs(seed: int) -> tuple[DataFrame, Totals]:
        heavy_users = heavy_keys(users, seed, min_events=heavy_events) if has_heavy else []
        pairs = deduplicate_events(events, seed, heavy_users)
        return checkpoint(pairs, f"pairs-{seed}", F.count("*").alias("n"))

    all_ids = [
        _with_previous(user_ids, previous.users if previous else None),
        _with_previous(item_ids, previous.items if previous else None),
    ]
    # The first seed is practically always the chosen one: see MAX_SEEDS.
    seed, (pairs, of_pairs) = run_concurrently(lambda: choose_seed(all_ids), lambda: write_pairs(FIRST_SEED))
    if seed != FIRST_SEED:
        pairs, of_pairs = write_pairs(seed)
    has_enough_weight = F.col("weight") >= F.lit(settings.min_weight).cast("float")
    kept_pairs = pairs.where(has_enough_weight)
    rule = split_rule(settings, seed if not has_time else None)
    core = k_core(
        kept_pairs,
        min_items_per_user=settings.min_interactions,
        min_users_per_item=settings.min_item_interactions,
        user_statistics=rule.user_statistics(),
        item_statistics=rule.item_statistics(),
        checkpoint=checkpoint,
    )
    assignment = rule.assign(kept_pairs, core, checkpoint)
    rows, n_pairs = assignment.rows, of_pairs["n"]
    listed = ", ".join(f"{n} {split}" for split, n in rows.items())
    _log.info("split: %s, %d filtered", listed, n_pairs - sum(rows.values()))
    _require_rows(rows, settings, source)
    return SplitPairs(
        user_ids, item_ids, of_users["n"], of_items["n"], seed, kept_pairs, assignment, n_pairs, rows
    )


def _sizes(id_column: str) -> tuple[Column, ...]:
    return (
        F.count("*").alias("n"),
        F.max("n_events").alias("most"),
        F.max_by(id_column, "n_events").alias("heaviest"),
        F.sum("n_events").alias("n_events"),
    )


def _warn_of_heavy_id(name: str, sizes: Mapping[str, Any]) -> None:
    warning = heavy_id_warning(name, sizes["heaviest"], sizes["most"], sizes["n"], sizes["n_events"])
    if warning:
        _log.warning("split: %s", warning)


def _with_previous(ids: DataFrame, previous: DataFrame | None) -> DataFrame:
    return ids if previous is None else ids.union(previous.select(*ids.columns)).distinct()


def _require_rows(rows: Mapping[str, int], settings: SplitSettings, source: str) -> None:
    if not sum(rows.values()):
        raise InputError(
            f"{source}: every user has fewer than {settings.min_interactions} interactions, so that "
            "no training data is left; give more events or a lower --min-interactions"
            + (" or --min-item-interactions" if settings.min_item_interactions > 1 else "")
        )
    for split, n in rows.items():
        if not n:
            raise InputError(
                f"{source}: no events for {split}; give more days of events, or other --test-days "
                "and --validation-days"
            )
