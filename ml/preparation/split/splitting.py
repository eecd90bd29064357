"""Split step: usable events to the pairs of a run, each with its split."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import SPLITS
from ml.preparation.errors import InputError
from ml.preparation.read.previous_run import PreviousRun
from ml.preparation.spark.concurrency import run_concurrently
from ml.preparation.split.k_core import Checkpoint, k_core
from ml.preparation.split.keys import HEAVY_EVENTS, choose_seed, count_ids, heavy_keys
from ml.preparation.split.pairs import deduplicate_events
from ml.preparation.split.rules import SplitAssignment, split_rule
from ml.settings.preparation import SplitSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitPairs:
    """Pairs of a run by key, with their splits."""

    user_ids: DataFrame  # user_id: all users with a usable event
    item_ids: DataFrame  # item_id: all items with a usable event
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
    heavy_events: int = HEAVY_EVENTS,
) -> SplitPairs:
    """Deduplicate, filter and split the usable events.

    Args:
        events: ``user_id``, ``item_id``, ``timestamp``, ``weight``.
        settings: filters and split rule.
        previous: a run whose ids get keys too.
        checkpoint: writes a table and reads it back.
        source: the input, for messages.
        heavy_events: a user with more events is spread over several tasks.

    Raises:
        InputError: a split would be empty.
        StepError: the ids collide, or the k-core has no fixed point.
    """
    users, items = run_concurrently(
        lambda: checkpoint(count_ids(events, "user_id", are_many=True), "user-ids"),
        lambda: checkpoint(count_ids(events, "item_id"), "item-ids"),
    )
    user_ids, item_ids = users.select("user_id"), items.select("item_id")
    seed = choose_seed(
        [
            _with_previous(user_ids, previous.users if previous else None),
            _with_previous(item_ids, previous.items if previous else None),
        ]
    )
    heavy_users = heavy_keys(users, seed, min_events=heavy_events)
    pairs = checkpoint(deduplicate_events(events, seed, heavy_users), "pairs")
    has_enough_weight = F.col("weight") >= F.lit(settings.min_weight).cast("float")
    kept_pairs = pairs.where(has_enough_weight)
    rule = split_rule(settings)
    core = k_core(
        kept_pairs,
        min_items_per_user=settings.min_interactions,
        min_users_per_item=settings.min_item_interactions,
        user_statistics=rule.user_statistics(),
        item_statistics=rule.item_statistics(),
        checkpoint=checkpoint,
    )
    assignment = rule.assign(kept_pairs, core, checkpoint)
    rows, n_pairs = _rows_by_split(assignment), pairs.count()
    listed = ", ".join(f"{n} {split}" for split, n in rows.items())
    _log.info("split: %s, %d filtered", listed, n_pairs - sum(rows.values()))
    _require_rows(rows, settings, source)
    return SplitPairs(user_ids, item_ids, seed, kept_pairs, assignment, n_pairs, rows)


def _with_previous(ids: DataFrame, previous: DataFrame | None) -> DataFrame:
    return ids if previous is None else ids.union(previous.select(*ids.columns)).distinct()


def _rows_by_split(assignment: SplitAssignment) -> dict[str, int]:
    totals = assignment.users.agg(*(F.sum(f"n_{split}").alias(split) for split in SPLITS)).first()
    return {split: (totals[split] if totals else None) or 0 for split in SPLITS}


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
