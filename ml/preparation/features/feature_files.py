"""Features step: features as files of the run, and as documents if a feature store is configured.

The step runs before ``_SUCCESS`` is written, so that a complete run has its documents too. Writing the same
documents again is idempotent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import ITEM_FEATURES_FILE, SPLITS, USER_FEATURES_FILE
from ml.preparation.features.transforms import (
    item_documents,
    item_features,
    last_rows,
    newest_timestamp,
    user_documents,
    user_features,
    with_recency,
)
from ml.preparation.spark.concurrency import run_concurrently
from ml.preparation.write.run_writer import RunWriter
from ml.preparation.write.tables import IdMaps
from ml.settings.preparation import FeatureStoreSettings

_log = logging.getLogger("ml.preparation")


@dataclass(frozen=True)
class DatedPairs:
    """All pairs of a run, with what their features are relative to."""

    pairs: DataFrame  # columns of the splits; split: int32, position in SPLITS
    last: DataFrame  # result of last_rows for them
    as_of: int  # the newest timestamp, Unix seconds


def date_pairs(writer: RunWriter) -> DatedPairs:
    """Find the last rows of each user in the splits of a run, which `writer` has written."""
    splits = [
        writer.read_split(name).withColumn("split", F.lit(position)) for position, name in enumerate(SPLITS)
    ]
    pairs = reduce(DataFrame.unionByName, splits)
    last, totals = writer.checkpoint(last_rows(pairs), "last-rows", newest_timestamp().alias("newest"))
    return DatedPairs(pairs, last, totals["newest"])


def write_features(
    writer: RunWriter, dated: DatedPairs, maps: IdMaps, feature_store: FeatureStoreSettings | None
) -> None:
    """Write the features of all kept pairs.

    Args:
        writer: writer of the run.
        dated: the pairs.
        maps: id maps of the run.
        feature_store: where documents are written; None for files only.

    Raises:
        InputError: the secret of the feature store cannot be read.
    """
    write_documents = None if feature_store is None else _documents_writer(feature_store)
    as_of = dated.as_of
    ranked = with_recency(dated.pairs, dated.last)
    of_users, of_items = run_concurrently(
        lambda: writer.write_table(user_features(ranked, as_of), USER_FEATURES_FILE, "user_index"),
        lambda: writer.write_table(item_features(dated.pairs, as_of), ITEM_FEATURES_FILE, "item_index"),
    )
    _log.info("features: of %d users", writer.count_rows(USER_FEATURES_FILE))
    if write_documents is not None:
        users = user_documents(of_users, maps.users, maps.items)
        items = item_documents(of_items, maps.items)
        write_documents(users, items, writer.run_id)


def _documents_writer(settings: FeatureStoreSettings) -> Callable[[DataFrame, DataFrame, str], None]:
    """The function that writes the documents of users and items, once the secret has been read."""
    # boto3 and pymongo are half of the job's imports, and only this step of a stage with a store needs them.
    from ml.preparation.features.feature_store import (  # noqa: PLC0415
        ITEMS_COLLECTION,
        USERS_COLLECTION,
        FeatureStore,
    )

    store = FeatureStore.from_settings(settings)

    def write(users: DataFrame, items: DataFrame, run_id: str) -> None:
        store.write(users, USERS_COLLECTION, "user_id", run_id)
        store.write(items, ITEMS_COLLECTION, "item_id", run_id)

    return write
