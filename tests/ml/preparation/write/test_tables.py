"""Tables of a run: encoded pairs and item popularity."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession, functions

from ml.preparation.write.tables import count_popularity, encode_pairs

pytestmark = pytest.mark.spark


def test_pairs_of_kept_users_and_items_are_encoded(spark: SparkSession) -> None:
    pairs = spark.createDataFrame(
        [(10, 70, 5, 1.0), (10, 80, 6, 2.0), (11, 70, 7, 3.0)],
        "user_key long, item_key long, timestamp long, weight float",
    )
    users = spark.createDataFrame([(10, 1, 80)], "user_key long, user_index int, test_item long")
    items = spark.createDataFrame([(70, 0), (80, 4)], "item_key long, item_index int")
    split = functions.when(functions.col("item_key") == functions.col("test_item"), 2).otherwise(0)
    encoded = encode_pairs(pairs, users, items, split)
    assert dict(encoded.dtypes) == {
        "split": "int",
        "user_index": "int",
        "item_index": "int",
        "timestamp": "bigint",
        "weight": "float",
    }
    assert sorted(map(tuple, encoded.collect())) == [(0, 1, 0, 5, 1.0), (2, 1, 4, 6, 2.0)]


def test_item_without_train_rows_has_popularity_0(spark: SparkSession) -> None:
    items = spark.createDataFrame([(each,) for each in range(4)], "item_index int")
    train = spark.createDataFrame([(0,), (2,), (0,)], "item_index int")
    popularity = count_popularity(train, items)
    assert popularity.dtypes == [("item_index", "int"), ("n_interactions", "bigint")]
    assert sorted(map(tuple, popularity.collect())) == [(0, 2), (1, 0), (2, 1), (3, 0)]
