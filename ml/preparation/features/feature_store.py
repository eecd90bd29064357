"""Features as documents in MongoDB, one a user and one an item.

A document's ``_id`` is the user's or the item's, and it says which run it is of. Writing a run again writes
the same documents; a run that comes late never replaces what a newer one wrote. What a run does not hold
stays as it was: its ``run_id`` tells how old it is.
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

USERS_COLLECTION = "user_features"
ITEMS_COLLECTION = "item_features"
BATCH_DOCUMENTS = 1_000
MAX_WRITERS = 16  # connections that a run opens at once
ATTEMPTS = 5
MAX_WAIT_S = 30
TIMEOUT_MS = 20_000  # of one operation, the selection of a server included
_DUPLICATE_KEY = 11000  # MongoDB's error code: here, a document of a newer run is in place

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureStore:
    """Where documents go. The URI is a secret: it is not shown, and goes to executors with the task alone."""

    uri: str
    database: str
    tls: bool = True
    timeout_ms: int = TIMEOUT_MS

    def __repr__(self) -> str:
        return f"FeatureStore(database={self.database!r})"

    def write(self, features: DataFrame, collection: str, id_column: str, run_id: str) -> None:
        """Write one document a row.

        Args:
            features: ``id_column`` and what else a document holds.
            collection: the collection's name.
            id_column: becomes ``_id``.
            run_id: the run that the documents are of.
        """
        writers = features.coalesce(MAX_WRITERS)
        writers.foreachPartition(partial(_write_partition, self, collection, id_column, run_id))
        _log.info("feature store: %s.%s written", self.database, collection)


def from_secret(arn: str, database: str) -> FeatureStore:
    """The store whose URI a secret holds: the URI itself, or JSON with the key ``uri``.

    Raises:
        InputError: the secret cannot be read, or holds no URI; the message never holds its value.
    """
    config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "max_attempts": 4})
    try:
        region = arn.split(":")[3] if arn.startswith("arn:") else None
        client = boto3.client("secretsmanager", region_name=region, config=config)
        text = client.get_secret_value(SecretId=arn)["SecretString"]
    except (BotoCoreError, ClientError, KeyError, IndexError) as error:
        raise InputError(f"--feature-store-secret {arn}: cannot be read: {error}") from error
    uri = _uri_in(text)
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise InputError(f"--feature-store-secret {arn}: holds neither a MongoDB URI nor JSON with a 'uri'")
    return FeatureStore(uri, database)


def write_documents(
    collection: Collection[dict[str, Any]], documents: Iterable[Mapping[str, Any]], run_id: str
) -> None:
    """Upsert documents in batches, each tried again with growing pauses while the server cannot be reached.

    Args:
        collection: of pymongo, or of anything that behaves as one.
        documents: each with its ``_id``; consumed once, a batch in memory at a time.
        run_id: a document of a newer run is left as it is.

    Raises:
        pymongo.errors.PyMongoError: the server refuses a document, or stays out of reach.
    """
    # Server selection, network errors and "not the primary" are AutoReconnect's.
    attempts = Retrying(
        retry=retry_if_exception_type(AutoReconnect),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.2, max=MAX_WAIT_S),
        reraise=True,
    )
    remaining = iter(documents)
    while batch := list(islice(remaining, BATCH_DOCUMENTS)):
        attempts(_upsert, collection, batch, run_id)


def _upsert(collection: Collection[dict[str, Any]], batch: list[Mapping[str, Any]], run_id: str) -> None:
    # A newer document is not matched, so that its _id would be inserted a second time, which is refused.
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
        write_documents(client[store.database][collection], documents, run_id)


def _document(row: Row, id_column: str) -> dict[str, Any]:
    fields = row.asDict(recursive=True)
    return {"_id": fields.pop(id_column), **fields}


def _uri_in(text: str) -> str:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return text.strip()
    uri = found.get("uri") if isinstance(found, dict) else None
    return uri if isinstance(uri, str) else ""
