"""From usable events to the data files of a run, the two steps in the middle of the job."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import ITEMS_FILE, POPULARITY_FILE, SPLITS, USERS_FILE
from ml.preparation.arguments import Settings
from ml.preparation.errors import InputError
from ml.preparation.read.previous_run import PreviousRun
from ml.preparation.spark.concurrency import together
from ml.preparation.split.ids import (
    counted_ids,
    extended_map,
    heavy_keys,
    kept_ids,
    keyed_map,
    seed_without_collisions,
)
from ml.preparation.split.k_core import Stage, k_core
from ml.preparation.split.pairs import encoded_pairs, item_popularity, newest_pairs
from ml.preparation.split.rules import Assigned
from ml.preparation.write.file_layout import file_layout
from ml.preparation.write.run_writer import RunWriter

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitEvents:
    """The events of a run with their splits, by key."""

    user_ids: DataFrame  # user_id, all that were read
    item_ids: DataFrame
    seed: int  # of the keys
    pairs: DataFrame  # as transforms.newest_pairs gives them
    assigned: Assigned
    n_pairs: int
    rows: Mapping[str, int]  # by split


@dataclass(frozen=True)
class WrittenTables:
    """The tables of a run, as written."""

    users: DataFrame  # user_id, user_index
    items: DataFrame  # item_id, item_index
    popularity: DataFrame  # item_index, n_interactions


def split_events(
    events: DataFrame, settings: Settings, previous: PreviousRun | None, stage: Stage
) -> SplitEvents:
    """De-duplicate, filter and split the usable events.

    Args:
        events: ``user_id``, ``item_id``, ``timestamp``, ``weight``.
        settings: of the job.
        previous: whose ids get keys too.
        stage: writes a table down and reads it back.

    Raises:
        InputError: a split would be empty.
        StepError: the ids collide, or the k-core has no end.
    """
    users, items = together(
        lambda: stage(counted_ids(events, "user_id", are_many=True), "user-ids"),
        lambda: stage(counted_ids(events, "item_id"), "item-ids"),
    )
    user_ids, item_ids = users.select("user_id"), items.select("item_id")
    seed = seed_without_collisions(
        [
            _with_known(user_ids, previous.users if previous else None),
            _with_known(item_ids, previous.items if previous else None),
        ]
    )
    pairs = stage(newest_pairs(events, seed, heavy_keys(users, seed)), "pairs")
    heavy = pairs.where(F.col("weight") >= F.lit(settings.min_weight).cast("float"))
    rule = settings.split_rule()
    core = k_core(
        heavy,
        min_of_user=settings.min_interactions,
        min_of_item=settings.min_item_interactions,
        user_statistics=rule.user_statistics(),
        item_statistics=rule.item_statistics(),
        stage=stage,
    )
    assigned = rule.assign(heavy, core, stage)
    rows = _rows_by_split(assigned)
    n_pairs = pairs.count()
    _log.info(
        "split: %s, %d filtered",
        ", ".join(f"{n} {split}" for split, n in rows.items()),
        n_pairs - sum(rows.values()),
    )
    _require_rows(rows, settings)
    return SplitEvents(user_ids, item_ids, seed, heavy, assigned, n_pairs, rows)


def write_data(writer: RunWriter, split: SplitEvents, previous: PreviousRun | None) -> WrittenTables:
    """Write the run's data files; the splits can be read back from the writer."""
    assigned = split.assigned
    known_users, known_items = (previous.users, previous.items) if previous else (None, None)
    (users_map, users), (items_map, items) = together(
        lambda: _write_map(
            writer, USERS_FILE, split.user_ids, assigned.users, known=known_users, seed=split.seed
        ),
        lambda: _write_map(
            writer, ITEMS_FILE, split.item_ids, assigned.items, known=known_items, seed=split.seed
        ),
    )
    n_users, n_items = writer.rows_of(USERS_FILE), writer.rows_of(ITEMS_FILE)
    _log.info("index: %d users, %d items", n_users, n_items)
    layout = file_layout(users, n_users)
    sizes = [f"n_{name}" for name in SPLITS]
    encoded = encoded_pairs(split.pairs, users.drop(*sizes), items, assigned.split)
    writer.write_splits(encoded, layout)
    _log.info("write: %s", ", ".join(f"{split.rows[name]} rows {name}" for name in SPLITS))
    train = writer.read_split("train").select("item_index")
    popularity = writer.write_table(item_popularity(train, items_map), POPULARITY_FILE, "item_index")
    return WrittenTables(users_map, items_map, popularity)


def _write_map(
    writer: RunWriter, file: str, ids: DataFrame, kept: DataFrame, *, known: DataFrame | None, seed: int
) -> tuple[DataFrame, DataFrame]:
    """Write the map of the users or the items; returns it, and those who are kept with their indices."""
    kind = ids.columns[0].removesuffix("_id")
    key, index = f"{kind}_key", f"{kind}_index"
    id_map = writer.write_table(extended_map(kept_ids(ids, kept, key, seed), known, index), file)
    indexed = kept.join(keyed_map(id_map, key, seed), on=key, how="inner")
    return id_map, writer.stage(indexed, f"{kind}s")


def _with_known(ids: DataFrame, known: DataFrame | None) -> DataFrame:
    return ids if known is None else ids.union(known.select(*ids.columns)).distinct()


def _rows_by_split(assigned: Assigned) -> dict[str, int]:
    totals = assigned.users.agg(*(F.sum(f"n_{split}").alias(split) for split in SPLITS)).first()
    return {split: (totals[split] if totals else None) or 0 for split in SPLITS}


def _require_rows(rows: Mapping[str, int], settings: Settings) -> None:
    if not sum(rows.values()):
        raise InputError(
            f"{settings.input}: every user has fewer than {settings.min_interactions} interactions, so that "
            "nothing is left to learn from; give more events or a lower --min-interactions"
            + (" or --min-item-interactions" if settings.min_item_interactions > 1 else "")
        )
    for split, n in rows.items():
        if not n:
            raise InputError(
                f"{settings.input}: no events for {split}; give more days of events, or other --test-days "
                "and --validation-days"
            )
