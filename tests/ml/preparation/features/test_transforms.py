"""Features, compared with a plain Python implementation."""

from __future__ import annotations

from collections import Counter
from operator import itemgetter

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from ml.preparation.features.transforms import (
    N_LAST_ITEMS,
    WINDOWS_DAYS,
    item_documents,
    item_features,
    last_rows,
    newest_timestamp,
    user_documents,
    user_features,
    with_recency,
)

pytestmark = pytest.mark.spark

DAY_S = 86_400
START_S = 1_700_000_000
N_USERS = 12
N_ITEMS = 2 * N_LAST_ITEMS
Pair = tuple[int, int, int, float]  # user, item, timestamp, weight

pairs = st.lists(
    st.tuples(
        st.integers(0, N_USERS - 1),
        st.integers(0, N_ITEMS - 1),
        st.integers(0, 40).map(lambda day: START_S + day * DAY_S // 2),
        st.sampled_from([1.0, 0.5, 2.25]),
    ),
    min_size=1,
    max_size=400,
    unique_by=lambda pair: pair[:2],
)


def frames(
    spark: SparkSession, kept: list[Pair], cuts: tuple[int, int]
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """The pairs as in the files of a run: split by time, sorted, two files per split."""
    n_rows: Counter[tuple[int, int]] = Counter()
    rows = []
    for user, item, time, weight in sorted(kept, key=itemgetter(0, 2, 1)):
        split = sum(time > START_S + day * DAY_S for day in sorted(cuts))
        rows.append((user, item, time, weight, split, n_rows[split, user % 2]))
        n_rows[split, user % 2] += 1
    columns = "user_index int, item_index int, timestamp long, weight float, split int, row long"
    table = spark.createDataFrame(rows, columns).repartition(3)
    users = spark.createDataFrame(
        [(f"u{i}", i) for i in range(N_USERS + 1)], "user_id string, user_index int"
    )
    items = spark.createDataFrame([(f"i{i}", i) for i in range(N_ITEMS)], "item_id string, item_index int")
    return table, users, items


def expected(kept: list[Pair], column: int, as_of: int) -> dict[int, dict[str, object]]:
    found = {}
    for index in {pair[column] for pair in kept}:
        own = [pair for pair in kept if pair[column] == index]
        found[index] = {
            "n_interactions": len(own),
            **{
                f"n_interactions_{days}d": sum(t > as_of - days * DAY_S for _, _, t, _ in own)
                for days in WINDOWS_DAYS
            },
            "total_weight": pytest.approx(sum(weight for *_, weight in own)),
            "last_timestamp": max(t for _, _, t, _ in own),
            "recency_days": pytest.approx((as_of - max(t for _, _, t, _ in own)) / DAY_S),
        }
    return found


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(kept=[(0, 1, START_S + 30 * DAY_S, 1.0), (0, 2, START_S, 1.0)], cuts=(1, 2))  # outside
@example(kept=[(0, item, START_S + item, 1.0) for item in range(N_ITEMS)], cuts=(30, 30))
@given(kept=pairs, cuts=st.tuples(st.integers(-1, 20), st.integers(-1, 20)))
def test_features_equal_those_of_the_plain_implementation(
    spark: SparkSession, kept: list[Pair], cuts: tuple[int, int]
) -> None:
    table, users, items = frames(spark, kept, cuts)
    last = last_rows(table).localCheckpoint()
    ((as_of,),) = last.agg(newest_timestamp()).collect()
    assert as_of == max(t for _, _, t, _ in kept)

    of_users = user_features(with_recency(table, last), as_of).localCheckpoint()
    found = {row["user_index"]: row.asDict() for row in of_users.collect()}
    assert set(found) == {user for user, *_ in kept}  # a user without a pair has no features
    newest = {}
    for user, wanted in expected(kept, 0, as_of).items():
        own = sorted(((t, item) for each, item, t, _ in kept if each == user), reverse=True)
        newest[user] = [item for _, item in own[:N_LAST_ITEMS]]
        first = own[-1][0]
        assert found[user] == {
            **wanted,
            "user_index": user,
            "first_timestamp": first,
            "last_items": newest[user],
        }
    of_items = item_features(table, as_of).localCheckpoint()
    found = {row["item_index"]: row.asDict() for row in of_items.collect()}
    assert found == {
        item: {"item_index": item, **wanted} for item, wanted in expected(kept, 1, as_of).items()
    }

    documents = {row["user_id"]: row.asDict() for row in user_documents(of_users, users, items).collect()}
    assert {user: each["last_items"] for user, each in documents.items()} == {
        f"u{user}": [f"i{item}" for item in last] for user, last in newest.items()
    }
    assert all("user_index" not in each for each in documents.values())
    documents = {row["item_id"]: row.asDict() for row in item_documents(of_items, items).collect()}
    assert {item: each["n_interactions"] for item, each in documents.items()} == {
        f"i{item}": each["n_interactions"] for item, each in found.items()
    }
