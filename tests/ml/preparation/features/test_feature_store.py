"""Feature store: with mongomock, and with a MongoDB server if MONGODB_URI is set."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import mongomock
import pytest
from moto import mock_aws
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, BulkWriteError
from pyspark.sql import SparkSession

from ml.feature_store import ATTEMPTS, write_documents
from ml.preparation.errors import InputError, StepError, step
from ml.preparation.features.feature_store import FeatureStore
from ml.settings.preparation import FeatureStoreSettings

OLDER, NEWER = "20261122T020000Z", "20261123T020000Z"
URI = "mongodb+srv://writer:secret-word@cluster.example.net"


@pytest.fixture
def collection() -> Any:
    return mongomock.MongoClient().ncf.user_features


def documents(n: int, count: int = 1) -> list[dict[str, Any]]:
    return [{"_id": f"u{i}", "n_interactions": count, "last_items": ["a", "b"]} for i in range(n)]


def test_every_document_is_written_once_with_its_run(collection: Any) -> None:
    write_documents(collection, documents(2_500), NEWER)
    assert collection.count_documents({}) == 2_500
    assert collection.find_one({"_id": "u7"}) == {**documents(8)[7], "run_id": NEWER}


def test_writing_a_run_again_changes_nothing(collection: Any) -> None:
    write_documents(collection, documents(5), NEWER)
    before = list(collection.find())
    write_documents(collection, documents(5), NEWER)
    assert list(collection.find()) == before


def test_document_of_a_newer_run_is_never_replaced_by_an_older_one(collection: Any) -> None:
    write_documents(collection, documents(3, count=1), OLDER)
    write_documents(collection, documents(2, count=2), NEWER)
    write_documents(collection, documents(3, count=1), OLDER)  # a late retry
    found = {each["_id"]: (each["run_id"], each["n_interactions"]) for each in collection.find()}
    assert found == {"u0": (NEWER, 2), "u1": (NEWER, 2), "u2": (OLDER, 1)}


class CountedWrites:
    """Collection that records the size of each bulk write."""

    def __init__(self, collection: Any) -> None:
        self.collection, self.sizes = collection, []

    def bulk_write(self, requests: list[Any], **options: Any) -> None:
        self.sizes.append(len(requests))
        self.collection.bulk_write(requests, **options)


def test_batches_are_bounded(collection: Any) -> None:
    recording = CountedWrites(collection)
    write_documents(recording, iter(documents(2_001)), NEWER)
    assert recording.sizes == [1_000, 1_000, 1]
    assert collection.count_documents({}) == 2_001


class Unreachable:
    """Collection whose server cannot be reached in the first attempts."""

    def __init__(self, collection: Any, failures: int) -> None:
        self.collection, self.failures, self.attempts = collection, failures, 0

    def bulk_write(self, *arguments: Any, **options: Any) -> None:
        self.attempts += 1
        if self.attempts <= self.failures:
            raise AutoReconnect("connection closed")
        self.collection.bulk_write(*arguments, **options)


def test_writes_are_retried_until_the_server_can_be_reached(collection: Any) -> None:
    write_documents(Unreachable(collection, ATTEMPTS - 1), documents(3), NEWER, max_wait_s=0)
    assert collection.count_documents({}) == 3


def test_write_fails_after_a_bounded_number_of_attempts(collection: Any) -> None:
    unreachable = Unreachable(collection, failures=100)
    with pytest.raises(AutoReconnect):
        write_documents(unreachable, documents(3), NEWER, max_wait_s=0)
    assert unreachable.attempts == ATTEMPTS


def test_refused_document_is_an_error(collection: Any) -> None:
    class Refusing:
        def bulk_write(self, *_: Any, **__: Any) -> None:
            raise BulkWriteError({"writeErrors": [{"code": 121}], "writeConcernErrors": []})

    with pytest.raises(BulkWriteError):
        write_documents(Refusing(), documents(1), NEWER)


@pytest.mark.parametrize("value", [URI, json.dumps({"uri": URI, "other": 1})])
def test_uri_is_read_from_the_secret_and_not_shown(value: str) -> None:
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="ap-northeast-2")
        arn = client.create_secret(Name="feature-store", SecretString=value)["ARN"]
        store = FeatureStore.from_settings(FeatureStoreSettings(arn, "ncf"))
    assert (store.uri, store.database, store.tls) == (URI, "ncf", True)
    assert "secret-word" not in repr(store)


@pytest.mark.parametrize(
    "value", ["writer:secret-word@host", '{"password": "secret-word"}', '["secret-word"]']
)
def test_secret_without_a_uri_is_an_error_without_its_value(value: str) -> None:
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="ap-northeast-2")
        arn = client.create_secret(Name="feature-store", SecretString=value)["ARN"]
        with pytest.raises(InputError, match=r"--feature-store-secret .*holds neither") as caught:
            FeatureStore.from_settings(FeatureStoreSettings(arn, "ncf"))
    assert "secret-word" not in str(caught.value)


def test_missing_secret_is_an_error_that_names_it() -> None:
    missing = FeatureStoreSettings("arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:none", "ncf")
    with mock_aws(), pytest.raises(InputError, match=r"--feature-store-secret arn:aws:.*cannot be read"):
        FeatureStore.from_settings(missing)


@pytest.fixture
def real_store() -> Iterator[tuple[FeatureStore, MongoClient]]:
    uri = os.environ.get("MONGODB_URI")
    if not uri:
        pytest.skip("MONGODB_URI is not set")
    store = FeatureStore(uri, f"ncf_test_{uuid4().hex[:12]}", tls="tls=true" in uri or "+srv" in uri)
    with MongoClient(uri) as client:
        yield store, client
        client.drop_database(store.database)


@pytest.mark.spark
def test_spark_writes_a_table_to_a_server(
    spark: SparkSession, real_store: tuple[FeatureStore, MongoClient]
) -> None:
    store, client = real_store
    table = spark.createDataFrame(
        [(f"u{i}", i, ["a", f"b{i}"]) for i in range(3_000)],
        "user_id string, n_interactions int, last_items array<string>",
    ).repartition(4)
    for _ in range(2):
        store.write(table, "user_features", "user_id", NEWER)
    found = client[store.database]["user_features"]
    assert found.count_documents({"run_id": NEWER}) == 3_000
    assert found.find_one({"_id": "u9"}) == {
        "_id": "u9",
        "n_interactions": 9,
        "last_items": ["a", "b9"],
        "run_id": NEWER,
    }


@pytest.mark.spark
def test_unreachable_store_gives_one_line_without_the_password(
    spark: SparkSession,
) -> None:
    unreachable = FeatureStore(
        "mongodb://writer:secret-word@127.0.0.1:9", "ncf", tls=False, timeout_ms=50, max_wait_s=0
    )
    table = spark.createDataFrame([("u1", 1)], "user_id string, n_interactions int")
    with pytest.raises(StepError) as failed, step("features"):
        unreachable.write(table, "user_features", "user_id", NEWER)
    assert "127.0.0.1:9" in str(failed.value)
    assert "\n" not in str(failed.value)
    assert "secret-word" not in str(failed.value)
