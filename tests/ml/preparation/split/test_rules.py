"""Split rules: which pairs are held out and filtered, and that train has no later events than test."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from ml.preparation.errors import InputError
from ml.preparation.split.keys import count_ids, heavy_keys, id_key
from ml.preparation.split.rules import DAY_S
from tests.ml.preparation.split.splitting import SCHEMA, Event, Row, checkpoint, frame, split

pytestmark = pytest.mark.spark

START_S = 1_600_000_000
ids = st.sampled_from(["a", "b", "B", "10", "9", "é", "😀", 'q"', "c", "d", "e", "f"])
# Few distinct times, so that ties are common.
lists_of_events = st.lists(st.tuples(ids, ids, st.integers(1, 6)), max_size=150)
A_FEW_EXAMPLES = {
    "max_examples": 3,
    "deadline": None,  # an example is many Spark jobs
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


# Events (user, item, time, weight) of the cases of leave-last-out with at least 3 interactions. Users are
# split independently of each other: one job splits all cases, each of which has its own users and items.
NEWEST = [("u", item, time, 1.0) for time, item in enumerate("abcdefgh", start=1)]
CASES: dict[str, list[tuple[str, str, int, float]]] = {
    "repeated": [
        *(("u", item, time, 1.0) for item, time in (("a", 1), ("a", 3), ("b", 4), ("c", 5))),
        ("u", "a", 2, 2.5),
    ],
    "distinct times": [("u", item, time, 1.0) for item, time in (("a", 4), ("b", 1), ("c", 3), ("d", 2))],
    "equal times": [("u", item, 1, 1.0) for item in ("b", "d", "a", "c")],
    "many users": [(f"u{user}", f"i{item}", 1, 1.0) for user in range(200) for item in range(10)],
    "many events": [*NEWEST, *(("u", i, 0, 1.0) for i in "abcdefgh"), ("v", "a", 1, 1.0), ("v", "b", 2, 1.0)],
    "few items": [
        *(("few", "a", time, 1.0) for time in range(1, 10)),
        ("few", "b", 1, 1.0),
        *(("enough", item, 1, 1.0) for item in "abc"),
    ],
}
N_PAIRS = sum(len({(user, item) for user, item, *_ in events}) for events in CASES.values())


@dataclass(frozen=True)
class SplitCases:
    """Kept rows by case, and the number of pairs before filtering."""

    rows: dict[str, list[Row]]
    n_pairs: int

    def splits(self, case: str) -> dict[tuple[str, str], str]:
        return {(row.user, row.item): row.split for row in self.rows[case]}


def split_cases(spark: SparkSession, *, is_reversed: bool = False, **options: int) -> SplitCases:
    """Split the events of all cases in one job."""
    events = [
        (f"{case}/{user}", f"{case}/{item}", time, weight)
        for case, of_case in CASES.items()
        for user, item, time, weight in of_case
    ]
    table = spark.createDataFrame(events[::-1] if is_reversed else events, SCHEMA)
    done, kept = split(table, min_interactions=3, **options)
    rows: dict[str, list[Row]] = {case: [] for case in CASES}
    for row in kept:
        case, user = row.user.split("/")
        rows[case].append(dataclasses.replace(row, user=user, item=row.item.removeprefix(f"{case}/")))
    return SplitCases(rows, done.n_pairs)


@pytest.fixture(scope="module")
def cases(spark: SparkSession) -> SplitCases:
    return split_cases(spark)


def test_pair_has_the_time_of_its_newest_event_and_the_greatest_weight(cases: SplitCases) -> None:
    assert cases.n_pairs == N_PAIRS
    rows = [row for row in cases.rows["repeated"] if row.item == "a"]
    assert [dataclasses.astuple(row) for row in rows] == [("u", "a", 3, "train", 2.5)]


def test_last_two_pairs_in_time_are_held_out(cases: SplitCases) -> None:
    assert cases.splits("distinct times") == {
        ("u", "a"): "test",
        ("u", "c"): "validation",
        ("u", "d"): "train",
        ("u", "b"): "train",
    }


def test_order_of_equal_times_does_not_depend_on_the_order_of_the_rows(
    spark: SparkSession, cases: SplitCases
) -> None:
    assert sorted(cases.splits("equal times").values()) == ["test", "train", "train", "validation"]
    again = split_cases(spark, is_reversed=True)
    assert {case: again.splits(case) for case in CASES} == {case: cases.splits(case) for case in CASES}


def test_items_held_out_at_equal_times_are_from_the_whole_range_of_ids(cases: SplitCases) -> None:
    n_users = len({user for user, *_ in CASES["many users"]})
    tested = Counter(item for (_, item), each in cases.splits("many users").items() if each == "test")
    assert set(tested) == {item for _, item, *_ in CASES["many users"]}
    assert max(tested.values()) < n_users / 4  # about 20 each: far from one end of the ids


def test_user_with_many_events_is_split_as_any_other(spark: SparkSession, cases: SplitCases) -> None:
    events = spark.createDataFrame(CASES["many events"], SCHEMA)
    counted, _ = checkpoint(count_ids(events, "user_id"), "users")
    key = spark.createDataFrame([("u",)], "user_id string").select(id_key("user_id", 0)).collect()[0][0]
    assert heavy_keys(counted, 0, min_events=15) == [key]  # v has two events
    spread = split_cases(spark, heavy_events=15)
    assert {case: spread.splits(case) for case in CASES} == {case: cases.splits(case) for case in CASES}
    assert {user for user, _ in spread.splits("many events")} == {"u"}
    assert spread.n_pairs == N_PAIRS


def test_users_with_fewer_interactions_are_filtered_by_distinct_items(cases: SplitCases) -> None:
    assert {user for user, _ in cases.splits("few items")} == {"enough"}


def test_pairs_of_low_weight_are_filtered(spark: SparkSession) -> None:
    heavy = frame(spark, [("u", item, 1) for item in "abcd"], weight=0.7)
    light = frame(spark, [("u", "e", 9)], weight=0.2)
    done, rows = split(heavy.union(light), min_interactions=3, min_weight=0.7)
    assert {row.item for row in rows} == set("abcd")
    assert (done.n_pairs, sum(done.rows.values())) == (5, 4)


def at(day: float) -> int:
    return START_S + int(day * DAY_S)


def test_time_cut_counts_days_back_from_the_newest_event(spark: SparkSession) -> None:
    train = [("u", "a", at(0)), ("v", "b", at(0)), ("u", "b", at(6.9))]
    held_out = [("u", "c", at(7.1)), ("v", "a", at(8.1)), ("u", "d", at(10))]
    events = [*train, ("v", "c", at(1)), ("v", "d", at(1)), *held_out]
    done, rows = split(
        frame(spark, events), split="time-cut", test_days=2, validation_days=1, min_interactions=1
    )
    assert {(row.user, row.item): row.split for row in rows if row.split != "train"} == {
        ("u", "c"): "validation",
        ("v", "a"): "test",
        ("u", "d"): "test",
    }
    assert done.assignment.rule["test_start"] == "2020-09-21T12:26:41Z"
    assert done.assignment.rule["validation_start"] == "2020-09-20T12:26:41Z"
    assert done.assignment.rule["n_unseen_in_train"] == 0


def test_time_cut_drops_and_counts_pairs_of_users_and_items_without_train_rows(spark: SparkSession) -> None:
    known = [
        (user, item, at(0))
        for user in "uv"
        for item in "abcd"
        if (user, item) not in {("u", "d"), ("v", "c")}
    ]
    held_out = [("v", "c", at(8.5)), ("u", "d", at(10))]
    of_new_user, of_new_item = ("new", "a", at(8.5)), ("u", "new", at(9.9))
    done, rows = split(
        frame(spark, [*known, *held_out, of_new_user, of_new_item]), split="time-cut", min_interactions=1
    )
    assert {(row.user, row.item) for row in rows if row.split != "train"} == {("v", "c"), ("u", "d")}
    assert done.assignment.rule["n_unseen_in_train"] == 2
    assert (done.n_pairs, sum(done.rows.values())) == (10, 8)


def test_time_cut_with_an_empty_split_is_an_error(spark: SparkSession) -> None:
    events = [("u", item, at(day)) for day, item in enumerate("abcdef")]
    with pytest.raises(InputError, match="no events for validation; give more days of events"):
        split(frame(spark, [("u", "z", at(-9)), *events[5:]]), split="time-cut", min_interactions=1)


@settings(**A_FEW_EXAMPLES)
@given(shops=st.lists(lists_of_events, min_size=2, max_size=6), min_interactions=st.integers(3, 6))
def test_leave_last_out_trains_on_no_later_event_of_the_user(
    spark: SparkSession, shops: list[list[Event]], min_interactions: int
) -> None:
    # Users are split independently of each other: the users of several shops need one Spark job only.
    events = [(f"{n}{user}", item, time) for n, shop in enumerate(shops) for user, item, time in shop]
    sizes = Counter(user for user, _ in {(user, item) for user, item, _ in events})
    expected = {user for user, n in sizes.items() if n >= min_interactions}
    try:
        done, rows = split(frame(spark, events), min_interactions=min_interactions)
    except InputError:
        assert not expected
        return
    check_consistency(events, rows, done.n_pairs, dict(done.rows))
    by_split = {name: [row for row in rows if row.split == name] for name in ("train", "validation", "test")}
    assert Counter(row.user for row in by_split["test"]) == Counter(expected)
    assert Counter(row.user for row in by_split["validation"]) == Counter(expected)
    assert {row.user for row in by_split["train"]} == expected
    validation = {row.user: row.time for row in by_split["validation"]}
    test = {row.user: row.time for row in by_split["test"]}
    assert all(row.time <= validation[row.user] <= test[row.user] for row in by_split["train"])


@settings(**A_FEW_EXAMPLES)
@given(
    events=st.lists(
        st.tuples(ids, ids, st.integers(1, 12).map(lambda half: half * DAY_S // 2)), max_size=150
    ),
    days=st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_time_cut_trains_on_no_later_event_of_any_user(
    spark: SparkSession, events: list[Event], days: tuple[int, int]
) -> None:
    try:
        done, rows = split(
            frame(spark, events),
            split="time-cut",
            test_days=days[0],
            validation_days=days[1],
            min_interactions=1,
        )
    except InputError:
        return
    check_consistency(events, rows, done.n_pairs, dict(done.rows))
    times = {
        name: [row.time for row in rows if row.split == name] for name in ("train", "validation", "test")
    }
    assert max(times["train"]) < min(times["validation"])
    assert max(times["validation"]) < min(times["test"])
    train = [row for row in rows if row.split == "train"]
    assert {row.user for row in rows} == {row.user for row in train}
    assert {row.item for row in rows} == {row.item for row in train}


def check_consistency(events: list[Event], rows: list[Row], n_pairs: int, counted: dict[str, int]) -> None:
    """Each pair is kept at most once, is one of the events, and is counted."""
    newest: dict[tuple[str, str], int] = {}
    for user, item, time in events:
        newest[user, item] = max(time, newest.get((user, item), time))
    kept = {(row.user, row.item): row.time for row in rows}
    assert len(kept) == len(rows)
    assert kept.items() <= newest.items()
    assert n_pairs == len(newest)
    assert Counter(row.split for row in rows) == Counter(counted)
