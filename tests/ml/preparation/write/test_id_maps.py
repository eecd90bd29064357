"""Id maps: every index stays the same from run to run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from ml.preparation.split.keys import id_key
from ml.preparation.write.id_maps import extend_id_map, select_ids

pytestmark = pytest.mark.spark

ids = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=4)


def table(spark: SparkSession, found: list[str]) -> DataFrame:
    return spark.createDataFrame([(each,) for each in found], "user_id string")


def as_dict(id_map: DataFrame) -> dict[str, int]:
    rows = [tuple(row) for row in id_map.collect()]
    assert [index for _, index in rows] == list(range(len(rows)))  # one to one, in the order of the file
    found = dict(rows)
    assert len(found) == len(rows)
    return found


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(runs=st.lists(st.sets(ids, min_size=1, max_size=40), min_size=2, max_size=3))
def test_extended_map_keeps_every_index_and_appends_new_ids_in_order(
    spark: SparkSession, runs: list[set[str]]
) -> None:
    known: dict[str, int] = {}
    previous: DataFrame | None = None
    for found in runs:
        shuffled = table(spark, list(found)).repartition(3)
        previous = extend_id_map(shuffled, previous, "user_index").localCheckpoint()
        now = as_dict(previous)
        assert known.items() <= now.items()
        new = sorted(found - set(known), key=str.encode)
        assert sorted(now, key=now.__getitem__)[len(known) :] == new
        known = now


def test_ids_are_selected_by_key(spark: SparkSession) -> None:
    all_ids = table(spark, ["a", "b", "c"])
    kept = table(spark, ["c", "a"]).select(id_key("user_id", 0).alias("user_key"))
    assert sorted(row[0] for row in select_ids(all_ids, kept, "user_key", 0).collect()) == ["a", "c"]
