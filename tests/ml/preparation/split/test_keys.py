"""Keys of ids: unique under the chosen seed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.sql import Column, DataFrame, SparkSession, functions

from ml.preparation.errors import StepError
from ml.preparation.split.keys import FIRST_SEED, choose_seed, id_key
from tests.ml.preparation.split.splitting import COLLIDING_IDS, frame, split

pytestmark = pytest.mark.spark


def table(spark: SparkSession, ids: list[str]) -> DataFrame:
    return spark.createDataFrame([(each,) for each in ids], "user_id string")


def collides_below(seed_to_use: int) -> Callable[[str, int], Column]:
    """A key that is the length of the id for lower seeds."""

    def key(id_column: str, seed: int) -> Column:
        return functions.length(id_column).cast("bigint") if seed < seed_to_use else id_key(id_column, seed)

    return key


def test_seed_with_collisions_is_not_used(spark: SparkSession) -> None:
    assert choose_seed([table(spark, ["x"]), table(spark, ["a", "b"])], collides_below(2)) == 2


def test_collisions_under_every_seed_are_an_error(spark: SparkSession) -> None:
    with pytest.raises(StepError, match="ids collide under 4 hash seeds"):
        choose_seed([table(spark, ["a", "b"])], collides_below(99))


def test_users_whose_keys_collide_under_the_first_seed_stay_two(spark: SparkSession) -> None:
    keys = table(spark, COLLIDING_IDS).select(id_key("user_id", FIRST_SEED)).collect()
    assert keys[0] == keys[1]
    events = [(user, item, time) for user in COLLIDING_IDS for time, item in enumerate("abc")]
    done, rows = split(frame(spark, events), min_interactions=3)
    assert done.seed == FIRST_SEED + 1
    assert done.n_pairs == len(events)
    assert sorted((row.user, row.item, row.time) for row in rows) == sorted(events)
