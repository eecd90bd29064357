"""K-core: the largest set of users and items with enough interactions each."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession, functions

from ml.preparation.errors import StepError
from ml.preparation.split.k_core import MAX_ROUNDS, KCore, k_core
from tests.ml.preparation.split.splitting import checkpoint

pytestmark = pytest.mark.spark

Pairs = set[tuple[int, int]]


def core_of(
    spark: SparkSession,
    pairs: Pairs,
    min_items_per_user: int,
    min_users_per_item: int,
    max_rounds: int = MAX_ROUNDS,
) -> KCore:
    table = spark.createDataFrame(
        [(u, i, u + i) for u, i in sorted(pairs)], "user_key long, item_key long, time long"
    )
    return k_core(
        table,
        min_items_per_user=min_items_per_user,
        min_users_per_item=min_users_per_item,
        user_statistics=[functions.max("time").alias("last")],
        item_statistics=[functions.min("time").alias("first")],
        checkpoint=checkpoint,
        max_rounds=max_rounds,
    )


def reference(pairs: Pairs, min_items_per_user: int, min_users_per_item: int) -> Pairs:
    """Removal of pairs of users or items with too few interactions, until nothing changes."""
    left = set(pairs)
    while True:
        users, items = Counter(u for u, _ in left), Counter(i for _, i in left)
        kept = {(u, i) for u, i in left if users[u] >= min_items_per_user and items[i] >= min_users_per_item}
        if kept == left:
            return left
        left = kept


def path(length: int) -> Pairs:
    """A chain of users and items, which loses one link at each end per round."""
    return {(n, n) for n in range(length)} | {(n, n + 1) for n in range(length)}


@settings(
    max_examples=3,  # of up to 8 graphs: one Spark job is cheaper than many
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    graphs=st.lists(
        st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=45),
        min_size=4,
        max_size=8,
    ),
    min_items_per_user=st.integers(1, 4),
    min_users_per_item=st.integers(1, 4),
)
def test_k_core_is_the_largest_set_with_enough_interactions(
    spark: SparkSession, graphs: list[Pairs], min_items_per_user: int, min_users_per_item: int
) -> None:
    # The k-core of graphs without a common user or item is the union of their k-cores.
    pairs = {(u + 10 * n, i + 10 * n) for n, graph in enumerate(graphs) for u, i in graph}
    core = core_of(spark, pairs, min_items_per_user, min_users_per_item)
    expected = reference(pairs, min_items_per_user, min_users_per_item)
    users = {row["user_key"]: (row["n_interactions"], row["last"]) for row in core.users.collect()}
    items = {row["item_key"]: (row["n_interactions"], row["first"]) for row in core.items.collect()}
    assert users == {
        user: (len(own), max(own))
        for user in {u for u, _ in expected}
        for own in [[u + i for u, i in expected if u == user]]
    }
    assert items == {
        item: (len(own), min(own))
        for item in {i for _, i in expected}
        for own in [[u + i for u, i in expected if i == item]]
    }


def test_chain_is_removed_round_by_round(spark: SparkSession) -> None:
    clique = {(u, i) for u in range(100, 103) for i in range(100, 103)}
    core = core_of(spark, path(5) | clique, 2, 2)
    assert {row["user_key"] for row in core.users.collect()} == {100, 101, 102}


def test_one_round_is_enough_if_items_have_no_minimum(spark: SparkSession) -> None:
    core = core_of(spark, {(1, 1), (1, 2), (2, 1)}, 2, 1, max_rounds=1)
    assert {row["user_key"] for row in core.users.collect()} == {1}


def test_too_many_rounds_are_an_error_that_names_the_flags(spark: SparkSession) -> None:
    with pytest.raises(StepError, match="no fixed point after 2 rounds; lower --min-interactions"):
        core_of(spark, path(9), 2, 2, max_rounds=2)
