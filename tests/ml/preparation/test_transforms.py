"""The transforms: invariants of the split, the index and the counts."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from ml.preparation.transforms import (
    assigned_splits,
    encoded_events,
    id_index,
    item_popularity,
    newest_events,
)

pytestmark = pytest.mark.spark

SCHEMA = "user_id string, item_id string, timestamp long"
Event = tuple[str, str, int]

ids = st.sampled_from(["a", "b", "B", "10", "9", "é", "😀", 'q"', "c", "d", "e", "f"])
# Few distinct times, so that ties are common.
event = st.tuples(ids, ids, st.integers(1, 6))


def frame(spark: SparkSession, events: list[Event]) -> DataFrame:
    return spark.createDataFrame(events, SCHEMA)


def split_of(
    spark: SparkSession, events: list[Event], min_interactions: int = 3
) -> dict[tuple[str, str], str]:
    assigned = assigned_splits(newest_events(frame(spark, events)), min_interactions)
    return {(row["user_id"], row["item_id"]): row["split"] for row in assigned.collect()}


def test_the_newest_event_of_a_pair_is_kept(spark: SparkSession) -> None:
    events = [("u", "a", 1), ("u", "a", 3), ("u", "a", 2), ("u", "b", 1), ("v", "a", 1), ("v", "a", 1)]
    kept = sorted(map(tuple, newest_events(frame(spark, events)).collect()))
    assert kept == [("u", "a", 3), ("u", "b", 1), ("v", "a", 1)]


def test_the_last_two_in_time_are_held_out(spark: SparkSession) -> None:
    events = [("u", "a", 4), ("u", "b", 1), ("u", "c", 3), ("u", "d", 2)]
    assert split_of(spark, events) == {
        ("u", "a"): "test",
        ("u", "c"): "validation",
        ("u", "d"): "train",
        ("u", "b"): "train",
    }


def test_equal_times_are_ordered_alike_whatever_the_order_of_the_rows(spark: SparkSession) -> None:
    events = [("u", item, 1) for item in ("b", "d", "a", "c")]
    splits = split_of(spark, events)
    assert sorted(splits.values()) == ["test", "train", "train", "validation"]
    assert split_of(spark, events[::-1]) == splits


def test_equal_times_hold_out_items_from_the_whole_range_of_ids(spark: SparkSession) -> None:
    n_users, items = 200, [f"i{n}" for n in range(10)]
    events = [(f"u{user}", item, 1) for user in range(n_users) for item in items]
    tested = Counter(item for (_, item), split in split_of(spark, events).items() if split == "test")
    assert set(tested) == set(items)
    assert max(tested.values()) < n_users / 4  # about 20 each: far from one end of the ids


def test_users_with_fewer_interactions_are_filtered_by_distinct_items(spark: SparkSession) -> None:
    repeated = [("few", "a", time) for time in range(9)] + [("few", "b", 1)]
    enough = [("enough", item, 1) for item in "abc"]
    splits = split_of(spark, repeated + enough)
    assert {split for (user, _), split in splits.items() if user == "few"} == {"filtered"}
    assert "filtered" not in {split for (user, _), split in splits.items() if user == "enough"}


def test_an_item_that_never_occurs_in_train_has_an_index_and_no_popularity(spark: SparkSession) -> None:
    events = [("u", "a", 1), ("u", "b", 2), ("u", "c", 3)]
    assigned = assigned_splits(frame(spark, events), 3)
    popularity = item_popularity(assigned, id_index(assigned, "item_id", "item_index"))
    assert sorted(map(tuple, popularity.collect())) == [(0, 1), (1, 0), (2, 0)]


@settings(
    max_examples=8,
    deadline=None,  # each example is several Spark jobs
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(events=st.lists(event, max_size=150), min_interactions=st.integers(3, 6))
def test_invariants(spark: SparkSession, events: list[Event], min_interactions: int) -> None:
    assigned = assigned_splits(newest_events(frame(spark, events)), min_interactions).cache()
    rows = [tuple(row) for row in assigned.collect()]
    splits: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
    for user, item, time, split in rows:
        splits[split].append((user, time, item))

    # Every pair exactly once, so that no held-out pair is in train.
    assert Counter((user, item) for user, item, _, _ in rows) == Counter({(u, i) for u, i, _ in events})

    # Users are kept whole or not at all, and each has one event for validation and one for test.
    kept_users = {user for user, *_ in splits["train"]}
    assert Counter(user for user, *_ in splits["test"]) == Counter(kept_users)
    assert Counter(user for user, *_ in splits["validation"]) == Counter(kept_users)
    assert not kept_users & {user for user, *_ in splits["filtered"]}
    sizes = Counter(user for user, *_ in rows)
    assert kept_users == {user for user, size in sizes.items() if size >= min_interactions}

    # No future leaks: train before validation before test, in the stated order.
    newest = {user: max((t, i) for u, t, i in splits["train"] if u == user) for user in kept_users}
    validation = {user: (time, item) for user, time, item in splits["validation"]}
    test = {user: (time, item) for user, time, item in splits["test"]}
    assert all(newest[user] < validation[user] < test[user] for user in kept_users)

    # Ids and indices are a bijection, dense and in the order of the ids.
    kept = assigned.where("split != 'filtered'")
    users = id_index(kept, "user_id", "user_index")
    items = id_index(kept, "item_id", "item_index")
    item_ids = [row["item_id"] for row in sorted(items.collect(), key=lambda row: row["item_index"])]
    user_ids = [row["user_id"] for row in sorted(users.collect(), key=lambda row: row["user_index"])]
    assert user_ids == sorted(kept_users, key=str.encode)
    assert item_ids == sorted({i for _, i, _, s in rows if s != "filtered"}, key=str.encode)

    # Encoding loses nothing and is undone by the maps.
    encoded = encoded_events(kept, users, items).collect()
    decoded = [
        (user_ids[row["user_index"]], item_ids[row["item_index"]], row["timestamp"], row["split"])
        for row in encoded
    ]
    assert Counter(decoded) == Counter(row for row in rows if row[3] != "filtered")

    # Popularity counts the train rows of every item.
    of_train = Counter(item for _, _, item in splits["train"])
    popularity = {item_ids[index]: n for index, n in map(tuple, item_popularity(kept, items).collect())}
    assert popularity == {item: of_train[item] for item in item_ids}
    assigned.unpersist()
