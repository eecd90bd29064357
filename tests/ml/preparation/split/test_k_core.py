"""The k-core: a fixed point, and the largest one."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession, functions

from ml.preparation.errors import StepError
from ml.preparation.split import k_core as k_core_module
from ml.preparation.split.k_core import Core, k_core
from tests.ml.preparation.split.splitting import stage

pytestmark = pytest.mark.spark

Pairs = set[tuple[int, int]]


def core_of(spark: SparkSession, pairs: Pairs, min_of_user: int, min_of_item: int) -> Core:
    table = spark.createDataFrame(
        [(u, i, u + i) for u, i in sorted(pairs)], "user_key long, item_key long, time long"
    )
    return k_core(
        table,
        min_of_user=min_of_user,
        min_of_item=min_of_item,
        user_statistics=[functions.max("time").alias("last")],
        item_statistics=[functions.min("time").alias("first")],
        stage=stage,
    )


def reference(pairs: Pairs, min_of_user: int, min_of_item: int) -> Pairs:
    """One that is removed at a time, until nobody has too few."""
    left = set(pairs)
    while True:
        users, items = Counter(u for u, _ in left), Counter(i for _, i in left)
        kept = {(u, i) for u, i in left if users[u] >= min_of_user and items[i] >= min_of_item}
        if kept == left:
            return left
        left = kept


def path(length: int) -> Pairs:
    """A chain of users and items, which comes apart from its ends, a link a round."""
    return {(n, n) for n in range(length)} | {(n, n + 1) for n in range(length)}


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    pairs=st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=45),
    min_of_user=st.integers(1, 4),
    min_of_item=st.integers(1, 4),
)
def test_the_core_is_the_largest_set_in_which_everybody_has_enough(
    spark: SparkSession, pairs: Pairs, min_of_user: int, min_of_item: int
) -> None:
    core = core_of(spark, pairs, min_of_user, min_of_item)
    expected = reference(pairs, min_of_user, min_of_item)
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


def test_a_chain_falls_apart_round_by_round(spark: SparkSession) -> None:
    clique = {(u, i) for u in range(100, 103) for i in range(100, 103)}
    core = core_of(spark, path(5) | clique, 2, 2)
    assert {row["user_key"] for row in core.users.collect()} == {100, 101, 102}


def test_one_round_is_enough_where_only_users_can_have_too_few(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(k_core_module, "MAX_ROUNDS", 1)
    core = core_of(spark, {(1, 1), (1, 2), (2, 1)}, 2, 1)
    assert {row["user_key"] for row in core.users.collect()} == {1}


def test_no_end_is_an_error_that_says_what_to_lower(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(k_core_module, "MAX_ROUNDS", 2)
    with pytest.raises(StepError, match="no fixed point after 2 rounds; lower --min-interactions"):
        core_of(spark, path(9), 2, 2)
