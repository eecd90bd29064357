"""The step that writes features: as files of the run, and as documents where there is a feature store.

It comes before ``_SUCCESS``: a run is whole when everything is where it should be, and writing the same
documents again does no harm.
"""

from __future__ import annotations

import logging
from functools import reduce

from pyspark.sql import DataFrame

from ml.contract import ITEM_FEATURES_FILE, SPLITS, USER_FEATURES_FILE
from ml.preparation import feature_store
from ml.preparation.arguments import Settings
from ml.preparation.core import WrittenTables
from ml.preparation.features import (
    item_documents,
    item_features,
    newest_timestamp,
    user_documents,
    user_features,
)
from ml.preparation.writing import RunWriter

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
    pairs = reduce(DataFrame.unionByName, (writer.read_split(split) for split in SPLITS))
    as_of = newest_timestamp(pairs)
    of_users = writer.write_table(user_features(pairs, as_of), USER_FEATURES_FILE, "user_index")
    of_items = writer.write_table(item_features(pairs, as_of), ITEM_FEATURES_FILE, "item_index")
    _log.info("features: of %d users", writer.rows_of(USER_FEATURES_FILE))
    if store is not None:
        users = user_documents(of_users, written.users, written.items)
        store.write(users, feature_store.USERS_COLLECTION, "user_id", settings.run_id)
        items = item_documents(of_items, written.items)
        store.write(items, feature_store.ITEMS_COLLECTION, "item_id", settings.run_id)
