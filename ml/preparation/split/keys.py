"""Keys of users and items: 64-bit hashes of the ids, which replace them in all joins and shuffles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.errors import StepError

# Birthday bound: a million ids collide with probability 3e-8, a hundred million with 3e-4. A second seed is
# rarely needed; several collisions in a row mean that the ids were crafted.
MAX_SEEDS = 4
FIRST_SEED = 0
# About as many events as one task has for all its users. Events of a user with more are spread over tasks.
HEAVY_EVENTS = 250_000
MAX_HEAVY_USERS = 100  # collected to the driver and compared with every row


def id_key(id_column: str, seed: int) -> Column:
    """The key of an id: int64; keys differ between seeds."""
    return F.xxhash64(F.lit(seed), F.col(id_column))


def count_ids(events: DataFrame, id_column: str, *, are_many: bool = False) -> DataFrame:
    """Count the events of each id.

    Args:
        events: ``id_column``.
        id_column: name of the id column.
        are_many: most ids occur in every partition, with few events each. Partial aggregation before the
            shuffle would then double the time, so that the ids are shuffled first.

    Returns:
        ``id_column``; ``n_events``: int64.
    """
    ids = events.select(id_column)
    partitioned = ids.repartition(id_column) if are_many else ids
    return partitioned.groupBy(id_column).agg(F.count("*").alias("n_events"))


def heavy_keys(counted: DataFrame, seed: int, *, min_events: int = HEAVY_EVENTS) -> list[int]:
    """The keys of the ids with the most events.

    Args:
        counted: of :func:`count_ids`.
        seed: of the keys.
        min_events: an id with more events is heavy.

    Returns:
        At most MAX_HEAVY_USERS keys.
    """
    heavy = counted.where(F.col("n_events") > min_events).orderBy(F.desc("n_events"), counted.columns[0])
    keys = heavy.limit(MAX_HEAVY_USERS).select(id_key(counted.columns[0], seed))
    return [row[0] for row in keys.collect()]


def choose_seed(ids: Sequence[DataFrame], key: Callable[[str, int], Column] = id_key) -> int:
    """The first seed with which no two ids of a table have the same key.

    Args:
        ids: tables of distinct ids, one column each.
        key: the hash function.

    Raises:
        StepError: there are collisions with each of MAX_SEEDS seeds.
    """
    for seed in range(FIRST_SEED, FIRST_SEED + MAX_SEEDS):
        if not _has_collision(ids, seed, key):
            return seed
    raise StepError(
        f"ids collide under {MAX_SEEDS} hash seeds, which does not happen by chance; look for crafted ids"
    )


def _has_collision(ids: Sequence[DataFrame], seed: int, key: Callable[[str, int], Column]) -> bool:
    """Whether two ids of one of the tables have the same key."""
    keys = [
        each.select(F.lit(number).alias("table"), key(each.columns[0], seed).alias("key"))
        for number, each in enumerate(ids)
    ]
    ids_per_key = reduce(DataFrame.unionByName, keys).groupBy("table", "key").count()
    return not ids_per_key.where(F.col("count") > 1).isEmpty()
