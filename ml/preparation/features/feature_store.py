"""Feature store: MongoDB with one document per user and one per item.

The ``_id`` of a document is the user or item id; ``run_id`` is the run that wrote it. Writes are idempotent,
and never replace a document of a newer run. Documents of ids that a run does not contain are left unchanged.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pymongo import MongoClient, ReplaceOne
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, BulkWriteError
from pyspark.sql import DataFrame, Row
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ml.preparation.errors import InputError
from ml.settings.preparation import FeatureStoreSettings

USERS_COLLECTION = "user_features"
ITEMS_COLLECTION = "item_features"
BATCH_DOCUMENTS = 1_000
MAX_WRITERS = 16  # concurrent connections of a run
ATTEMPTS = 5
MAX_WAIT_S = 30
TIMEOUT_MS = 20_000  # of one operation, including server selection
_DUPLICATE_KEY = 11000  # MongoDB error code; here: a document of a newer run exists

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureStore:
    """MongoDB database for documents. The URI is a secret: not in `repr`, sent with tasks only."""

    uri: str
    database: str
    tls: bool = True
    timeout_ms: int = TIMEOUT_MS
    max_wait_s: float = MAX_WAIT_S  # between attempts

    def __repr__(self) -> str:
        return f"FeatureStore(database={self.database!r})"

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
        arn = settings.secret_arn
        config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "max_attempts": 4})
        try:
            region = arn.split(":")[3] if arn.startswith("arn:") else None
            client = boto3.client("secretsmanager", region_name=region, config=config)
            text = client.get_secret_value(SecretId=arn)["SecretString"]
        except (BotoCoreError, ClientError, KeyError, IndexError) as error:
            raise InputError(f"--feature-store-secret {arn}: cannot be read: {error}") from error
        uri = _find_uri(text)
        if not uri.startswith(("mongodb://", "mongodb+srv://")):
            raise InputError(
                f"--feature-store-secret {arn}: holds neither a MongoDB URI nor JSON with a 'uri'"
            )
        return cls(uri, settings.database)


def write_documents(
    collection: Collection[dict[str, Any]],
    documents: Iterable[Mapping[str, Any]],
    run_id: str,
    *,
    max_wait_s: float = MAX_WAIT_S,
) -> None:
    """Upsert documents in batches, with exponential backoff while the server cannot be reached.

    Args:
        collection: a pymongo collection.
        documents: each with its ``_id``; consumed once, with one batch in memory at a time.
        run_id: the run of the documents; documents of a newer run are left unchanged.
        max_wait_s: maximum wait between two attempts.

    Raises:
        pymongo.errors.PyMongoError: the server refuses a document, or cannot be reached in ATTEMPTS attempts.
    """
    # AutoReconnect includes failed server selection, network errors and "not primary".
    attempts = Retrying(
        retry=retry_if_exception_type(AutoReconnect),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.2, max=max_wait_s),
        reraise=True,
    )
    remaining = iter(documents)
    while batch := list(islice(remaining, BATCH_DOCUMENTS)):
        attempts(_upsert, collection, batch, run_id)


def _upsert(collection: Collection[dict[str, Any]], batch: list[Mapping[str, Any]], run_id: str) -> None:
    # A document of a newer run does not match the filter; inserting its _id again is a duplicate key error.
    requests = [
        ReplaceOne({"_id": each["_id"], "run_id": {"$lte": run_id}}, {**each, "run_id": run_id}, upsert=True)
        for each in batch
    ]
    try:
        collection.bulk_write(requests, ordered=False)
    except BulkWriteError as error:
        details: dict[str, Any] = error.details  # type: ignore[assignment]
        refused = [each for each in details["writeErrors"] if each["code"] != _DUPLICATE_KEY]
        if refused or details.get("writeConcernErrors"):
            raise


def _write_partition(
    store: FeatureStore, collection: str, id_column: str, run_id: str, rows: Iterator[Row]
) -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(
        store.uri,
        tls=store.tls,
        timeoutMS=store.timeout_ms,
        serverSelectionTimeoutMS=store.timeout_ms,
        appname="ncf",
    )
    with client:
        documents = (_document(row, id_column) for row in rows)
        write_documents(client[store.database][collection], documents, run_id, max_wait_s=store.max_wait_s)


def _document(row: Row, id_column: str) -> dict[str, Any]:
    fields = row.asDict(recursive=True)
    return {"_id": fields.pop(id_column), **fields}


def _find_uri(text: str) -> str:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return text.strip()
    uri = found.get("uri") if isinstance(found, dict) else None
    return uri if isinstance(uri, str) else ""
