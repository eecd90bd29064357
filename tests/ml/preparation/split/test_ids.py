"""Ids: keys without collisions, and indices that nobody loses."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import Column, DataFrame, SparkSession, functions

from ml.preparation.errors import StepError
from ml.preparation.split import ids
from ml.preparation.split.ids import extended_map, kept_ids, seed_without_collisions
from ml.preparation.split.pairs import id_key

pytestmark = pytest.mark.spark

names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=4)


def table(spark: SparkSession, found: list[str]) -> DataFrame:
    return spark.createDataFrame([(each,) for each in found], "user_id string")


def as_dict(id_map: DataFrame) -> dict[str, int]:
    rows = [tuple(row) for row in id_map.collect()]
    assert [index for _, index in rows] == list(range(len(rows)))  # a bijection, in the file's order
    found = dict(rows)
    assert len(found) == len(rows)
    return found


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(runs=st.lists(st.sets(names, min_size=1, max_size=12), min_size=1, max_size=3))
def test_an_extended_map_keeps_every_index_and_appends_in_order(
    spark: SparkSession, runs: list[set[str]]
) -> None:
    known: dict[str, int] = {}
    previous: DataFrame | None = None
    for found in runs:
        shuffled = table(spark, list(found)).repartition(3)
        previous = extended_map(shuffled, previous, "user_index").localCheckpoint()
        now = as_dict(previous)
        assert known.items() <= now.items()
        new = sorted(found - set(known), key=str.encode)
        assert sorted(now, key=now.__getitem__)[len(known) :] == new
        known = now


def test_ids_are_kept_by_key(spark: SparkSession) -> None:
    all_ids = table(spark, ["a", "b", "c"])
    kept = table(spark, ["c", "a"]).select(id_key("user_id", 0).alias("user_key"))
    assert sorted(row[0] for row in kept_ids(all_ids, kept, "user_key", 0).collect()) == ["a", "c"]


def collides_below(seed_to_use: int) -> object:
    def key(id_column: str, seed: int) -> Column:
        return functions.length(id_column).cast("bigint") if seed < seed_to_use else id_key(id_column, seed)

    return key


def test_keys_that_collide_are_drawn_again(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "id_key", collides_below(2))
    assert seed_without_collisions([table(spark, ["x"]), table(spark, ["a", "b"])]) == 2


def test_ids_made_to_collide_are_an_error(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "id_key", collides_below(99))
    with pytest.raises(StepError, match="ids collide under 4 hash seeds"):
        seed_without_collisions([table(spark, ["a", "b"])])
