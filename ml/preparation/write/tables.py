"""Write step: id maps, the three splits and item popularity as files of the run."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import ITEMS_FILE, POPULARITY_FILE, SPLITS, USERS_FILE
from ml.preparation.read.previous_run import PreviousRun
from ml.preparation.spark.concurrency import run_concurrently
from ml.preparation.split.splitting import SplitPairs
from ml.preparation.write.file_layout import ROWS_PER_FILE, plan_files
from ml.preparation.write.id_maps import extend_id_map, index_by_key, select_ids
from ml.preparation.write.run_writer import RunWriter

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IdMaps:
    """Id maps of a run, read back from its files."""

    users: DataFrame  # user_id, user_index
    items: DataFrame  # item_id, item_index


def write_tables(
    writer: RunWriter, split: SplitPairs, previous: PreviousRun | None, *, rows_per_file: int = ROWS_PER_FILE
) -> IdMaps:
    """Write the id maps and the splits of a run; the splits can be read back with ``writer.read_split``.

    Args:
        writer: writer of the run.
        split: the pairs.
        previous: run whose id maps are extended.
        rows_per_file: approximate number of rows of each file of a split.
    """
    assignment = split.assignment
    known_users, known_items = (previous.users, previous.items) if previous else (None, None)
    (users_map, users), (items_map, items) = run_concurrently(
        lambda: _write_id_map(
            writer, USERS_FILE, split.user_ids, assignment.users, previous=known_users, seed=split.seed
        ),
        lambda: _write_id_map(
            writer, ITEMS_FILE, split.item_ids, assignment.items, previous=known_items, seed=split.seed
        ),
    )
    n_users, n_items = writer.count_rows(USERS_FILE), writer.count_rows(ITEMS_FILE)
    _log.info("index: %d users, %d items", n_users, n_items)
    layout = plan_files(users, n_users, split.rows, rows_per_file)
    sizes = [f"n_{name}" for name in SPLITS]
    encoded = encode_pairs(split.pairs, users.drop(*sizes), items, assignment.split)
    writer.write_splits(encoded, layout)
    _log.info("write: %s", ", ".join(f"{split.rows[name]} rows {name}" for name in SPLITS))
    return IdMaps(users_map, items_map)


def write_popularity(writer: RunWriter, items: DataFrame) -> DataFrame:
    """Write the number of train rows of every item.

    Args:
        writer: writer of the run, which has written its splits.
        items: id map with ``item_index``.

    Returns:
        The table as read back: ``item_index``, ``n_interactions``.
    """
    train = writer.read_split("train").select("item_index")
    return writer.write_table(count_popularity(train, items), POPULARITY_FILE, "item_index")


def encode_pairs(pairs: DataFrame, users: DataFrame, items: DataFrame, split: Column) -> DataFrame:
    """Replace keys by indices, and drop the pairs of users and items that are not kept.

    Args:
        pairs: as :func:`ml.preparation.split.pairs.deduplicate_events` returns them.
        users: the kept users: ``user_key``, ``user_index`` and the columns that ``split`` reads.
        items: the kept items: ``item_key``, ``item_index``.
        split: position of a pair's split in :data:`ml.contract.SPLITS`.

    Returns:
        ``split``: int32; ``user_index``, ``item_index``: int32; ``timestamp``: int64; ``weight``: float32.
    """
    of_kept_users = pairs.join(users, on="user_key", how="inner")
    kept = of_kept_users.join(items, on="item_key", how="inner")
    return kept.select(split.alias("split"), "user_index", "item_index", "timestamp", "weight")


def count_popularity(train: DataFrame, items: DataFrame) -> DataFrame:
    """Count the train rows of every item of the id map, including items without any.

    Args:
        train: ``item_index``, one row per interaction.
        items: id map with ``item_index``.

    Returns:
        ``item_index``: int32, ``n_interactions``: int64.
    """
    counted = train.groupBy("item_index").agg(F.count("*").alias("n_interactions"))
    of_all = items.join(counted, on="item_index", how="left")
    n_interactions = F.coalesce("n_interactions", F.lit(0).cast("bigint"))
    return of_all.select("item_index", n_interactions.alias("n_interactions"))


def _write_id_map(
    writer: RunWriter, file: str, ids: DataFrame, kept: DataFrame, *, previous: DataFrame | None, seed: int
) -> tuple[DataFrame, DataFrame]:
    """Write the id map of users or items; returns it, and the kept users or items with their indices."""
    kind = ids.columns[0].removesuffix("_id")
    key, index = f"{kind}_key", f"{kind}_index"
    extended = extend_id_map(select_ids(ids, kept, key, seed), previous, index)
    id_map = writer.write_table(extended, file)
    indexed = kept.join(index_by_key(id_map, key, seed), on=key, how="inner")
    kept_ids, _ = writer.checkpoint(indexed, f"{kind}s")
    return id_map, kept_ids
