"""Feature store of the preparation: MongoDB with one document per user and one per item.

``run_id`` of a document is the run that wrote it; `ml.feature_store` writes the documents.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyspark.sql import DataFrame, Row

from ml.feature_store import Database, SecretError, read_uri, write_documents
from ml.preparation.errors import InputError
from ml.settings.preparation import FeatureStoreSettings

USERS_COLLECTION = "user_features"
ITEMS_COLLECTION = "item_features"
MAX_WRITERS = 16  # concurrent connections of a run

_log = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class FeatureStore(Database):
    """MongoDB database that Spark writes to; the URI is sent with tasks only."""

    def write(self, features: DataFrame, collection: str, id_column: str, run_id: str) -> None:
        """Write one document per row.

        Args:
            features: ``id_column`` and the other fields of a document.
            collection: name of the collection.
            id_column: becomes ``_id``.
            run_id: the run of the documents.

        Raises:
            PySparkException: the server refuses a document, or cannot be reached.
        """
        writers = features.coalesce(MAX_WRITERS)
        writers.foreachPartition(partial(_write_partition, self, collection, id_column, run_id))
        _log.info("feature store: %s.%s written", self.database, collection)

    @classmethod
    def from_settings(cls, settings: FeatureStoreSettings) -> FeatureStore:
        """The store of the settings; its secret is the URI, or JSON with the key ``uri``.

        Raises:
            InputError: the secret cannot be read, or has no URI; the message never includes its value.
        """
        try:
            return cls(read_uri(settings.secret_arn), settings.database)
        except SecretError as error:
            raise InputError(f"--feature-store-secret {error}") from error


def _write_partition(
    store: FeatureStore, collection: str, id_column: str, run_id: str, rows: Iterator[Row]
) -> None:
    with store.client() as client:
        documents = (_document(row, id_column) for row in rows)
        write_documents(client[store.database][collection], documents, run_id, max_wait_s=store.max_wait_s)


def _document(row: Row, id_column: str) -> dict[str, Any]:
    fields = row.asDict(recursive=True)
    return {"_id": fields.pop(id_column), **fields}
