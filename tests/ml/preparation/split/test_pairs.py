"""The transforms: encoding loses nothing, and popularity counts what is learnt from."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession, functions

from ml.preparation.split.pairs import encoded_pairs, item_popularity

pytestmark = pytest.mark.spark


def test_pairs_are_encoded_when_both_sides_are_kept(spark: SparkSession) -> None:
    pairs = spark.createDataFrame(
        [(10, 70, 5, 1.0), (10, 80, 6, 2.0), (11, 70, 7, 3.0)],
        "user_key long, item_key long, timestamp long, weight float",
    )
    users = spark.createDataFrame([(10, 1, 80)], "user_key long, user_index int, test_item long")
    items = spark.createDataFrame([(70, 0), (80, 4)], "item_key long, item_index int")
    split = functions.when(functions.col("item_key") == functions.col("test_item"), 2).otherwise(0)
    encoded = encoded_pairs(pairs, users, items, split)
    assert dict(encoded.dtypes) == {
        "split": "int",
        "user_index": "int",
        "item_index": "int",
        "timestamp": "bigint",
        "weight": "float",
    }
    assert sorted(map(tuple, encoded.collect())) == [(0, 1, 0, 5, 1.0), (2, 1, 4, 6, 2.0)]


def test_an_item_of_the_map_that_train_lacks_has_no_popularity(spark: SparkSession) -> None:
    items = spark.createDataFrame([(each,) for each in range(4)], "item_index int")
    train = spark.createDataFrame([(0,), (2,), (0,)], "item_index int")
    popularity = item_popularity(train, items)
    assert popularity.dtypes == [("item_index", "int"), ("n_interactions", "bigint")]
    assert sorted(map(tuple, popularity.collect())) == [(0, 2), (1, 0), (2, 1), (3, 0)]
