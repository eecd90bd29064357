"""Feature store: MongoDB documents by the id of a user or item, written in batches.

The ``_id`` of a document is the user or item id. Writes are idempotent, and never replace a document of a
newer version. Documents of ids that are not written are left unchanged. EMR runs this module on Python 3.9;
the batch recommendations run it in the training container.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pymongo import MongoClient, ReplaceOne
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, BulkWriteError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

BATCH_DOCUMENTS = 1_000
ATTEMPTS = 5
MAX_WAIT_S = 30
TIMEOUT_MS = 20_000  # of one operation, including server selection
_DUPLICATE_KEY = 11000  # MongoDB error code; here: a document of a newer version exists


class SecretError(ValueError):
    """The secret cannot be read, or has no URI; the message never includes its value."""


@dataclass(frozen=True)
class Database:
    """MongoDB database for documents. The URI is a secret: not in `repr`."""

    uri: str
    database: str
    tls: bool = True
    timeout_ms: int = TIMEOUT_MS
    max_wait_s: float = MAX_WAIT_S  # between attempts

    def __repr__(self) -> str:
        return f"{type(self).__name__}(database={self.database!r})"

    def client(self) -> MongoClient[dict[str, Any]]:
        """A client of the database's server; connects with its first operation."""
        return MongoClient(
            self.uri,
            tls=self.tls,
            timeoutMS=self.timeout_ms,
            serverSelectionTimeoutMS=self.timeout_ms,
            appname="ncf",
        )


def read_uri(secret_arn: str) -> str:
    """The URI in a secret, which is the URI itself, or JSON with the key ``uri``.

    Raises:
        SecretError: the secret cannot be read, or has no URI.
    """
    config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "max_attempts": 4})
    try:
        region = secret_arn.split(":")[3] if secret_arn.startswith("arn:") else None
        client = boto3.client("secretsmanager", region_name=region, config=config)
        text = client.get_secret_value(SecretId=secret_arn)["SecretString"]
    except (BotoCoreError, ClientError, KeyError, IndexError) as error:
        raise SecretError(f"{secret_arn}: cannot be read: {error}") from error
    uri = _find_uri(text)
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise SecretError(f"{secret_arn}: holds neither a MongoDB URI nor JSON with a 'uri'")
    return uri


def write_documents(
    collection: Collection[dict[str, Any]],
    documents: Iterable[Mapping[str, Any]],
    version: str,
    *,
    version_field: str = "run_id",
    max_wait_s: float = MAX_WAIT_S,
) -> None:
    """Upsert documents in batches, with exponential backoff while the server cannot be reached.

    Args:
        collection: a pymongo collection.
        documents: each with its ``_id``; consumed once, with one batch in memory at a time.
        version: version of the documents; versions are ordered as text, and documents of a newer one are left
            unchanged.
        version_field: the field of a document with its version.
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
        attempts(_upsert, collection, batch, version, version_field)


def _upsert(
    collection: Collection[dict[str, Any]], batch: list[Mapping[str, Any]], version: str, version_field: str
) -> None:
    # A document of a newer version does not match the filter; inserting its _id again is a duplicate key.
    requests = [
        ReplaceOne(
            {"_id": each["_id"], version_field: {"$lte": version}},
            {**each, version_field: version},
            upsert=True,
        )
        for each in batch
    ]
    try:
        collection.bulk_write(requests, ordered=False)
    except BulkWriteError as error:
        details: dict[str, Any] = error.details  # type: ignore[assignment]
        refused = [each for each in details["writeErrors"] if each["code"] != _DUPLICATE_KEY]
        if refused or details.get("writeConcernErrors"):
            raise


def _find_uri(text: str) -> str:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return text.strip()
    uri = found.get("uri") if isinstance(found, dict) else None
    return uri if isinstance(uri, str) else ""
