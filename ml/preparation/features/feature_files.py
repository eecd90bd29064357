"""The step that writes features: as files of the run, and as documents where there is a feature store.

It comes before ``_SUCCESS``: a run is whole when everything is where it should be, and writing the same
documents again does no harm.
"""

from __future__ import annotations

import logging
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import ITEM_FEATURES_FILE, SPLITS, USER_FEATURES_FILE
from ml.preparation.arguments import Settings
from ml.preparation.features import feature_store
from ml.preparation.features.transforms import (
    item_documents,
    item_features,
    last_rows,
    newest_timestamp,
    user_documents,
    user_features,
    with_recency,
)
from ml.preparation.spark.concurrency import together
from ml.preparation.split.core import WrittenTables
from ml.preparation.write.run_writer import RunWriter

_log = logging.getLogger("ml.preparation")


def write_features(writer: RunWriter, written: WrittenTables, settings: Settings) -> None:
    """Write the features of all kept pairs.

    Raises:
        InputError: the feature store's secret cannot be used.
        StepError: the store refuses a document, or cannot be reached.
    """
    store = None
    if settings.feature_store_secret is not None and settings.feature_store_database is not None:
        store = feature_store.from_secret(settings.feature_store_secret, settings.feature_store_database)
    splits = [
        writer.read_split(name).withColumn("split", F.lit(position)) for position, name in enumerate(SPLITS)
    ]
    pairs = reduce(DataFrame.unionByName, splits)
    last = writer.stage(last_rows(pairs), "last-rows")
    as_of = newest_timestamp(last)
    each_pair = with_recency(pairs, last)
    of_users, of_items = together(
        lambda: writer.write_table(user_features(each_pair, as_of), USER_FEATURES_FILE, "user_index"),
        lambda: writer.write_table(item_features(pairs, as_of), ITEM_FEATURES_FILE, "item_index"),
    )
    _log.info("features: of %d users", writer.rows_of(USER_FEATURES_FILE))
    if store is not None:
        users = user_documents(of_users, written.users, written.items)
        store.write(users, feature_store.USERS_COLLECTION, "user_id", settings.run_id)
        items = item_documents(of_items, written.items)
        store.write(items, feature_store.ITEMS_COLLECTION, "item_id", settings.run_id)
