"""Documents in a store that behaves as MongoDB, and in a real one where MONGODB_URI names it."""

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

from ml.preparation.errors import InputError, StepError, step
from ml.preparation.features import feature_store
from ml.preparation.features.feature_store import ATTEMPTS, FeatureStore, from_secret, write_documents

OLDER, NEWER = "20261122T020000Z", "20261123T020000Z"
URI = "mongodb+srv://writer:secret-word@cluster.example.net"


@pytest.fixture
def collection() -> Any:
    return mongomock.MongoClient().ncf.user_features


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_store, "MAX_WAIT_S", 0)


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


def test_a_newer_run_replaces_an_older_one_and_never_the_other_way_round(collection: Any) -> None:
    write_documents(collection, documents(3, count=1), OLDER)
    write_documents(collection, documents(2, count=2), NEWER)
    write_documents(collection, documents(3, count=1), OLDER)  # a late retry
    found = {each["_id"]: (each["run_id"], each["n_interactions"]) for each in collection.find()}
    assert found == {"u0": (NEWER, 2), "u1": (NEWER, 2), "u2": (OLDER, 1)}


def test_batches_are_bounded(collection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    write = collection.bulk_write
    monkeypatch.setattr(
        collection, "bulk_write", lambda requests, **kw: sizes.append(len(requests)) or write(requests, **kw)
    )
    write_documents(collection, iter(documents(2_001)), NEWER)
    assert sizes == [1_000, 1_000, 1]


class Unreachable:
    """A collection whose server comes back after some attempts."""

    def __init__(self, collection: Any, failures: int) -> None:
        self.collection, self.failures, self.attempts = collection, failures, 0

    def bulk_write(self, *arguments: Any, **options: Any) -> None:
        self.attempts += 1
        if self.attempts <= self.failures:
            raise AutoReconnect("connection closed")
        self.collection.bulk_write(*arguments, **options)


def test_a_server_that_comes_back_gets_every_document(collection: Any) -> None:
    write_documents(Unreachable(collection, ATTEMPTS - 1), documents(3), NEWER)
    assert collection.count_documents({}) == 3


def test_a_server_that_stays_away_fails_the_write_after_bounded_attempts(collection: Any) -> None:
    away = Unreachable(collection, failures=100)
    with pytest.raises(AutoReconnect):
        write_documents(away, documents(3), NEWER)
    assert away.attempts == ATTEMPTS


def test_a_refused_document_fails_the_write(collection: Any) -> None:
    class Refusing:
        def bulk_write(self, *_: Any, **__: Any) -> None:
            raise BulkWriteError({"writeErrors": [{"code": 121}], "writeConcernErrors": []})

    with pytest.raises(BulkWriteError):
        write_documents(Refusing(), documents(1), NEWER)


@pytest.mark.parametrize("value", [URI, json.dumps({"uri": URI, "other": 1})])
def test_the_uri_comes_from_the_secret_and_is_never_shown(value: str) -> None:
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="ap-northeast-2")
        arn = client.create_secret(Name="feature-store", SecretString=value)["ARN"]
        store = from_secret(arn, "ncf")
    assert (store.uri, store.database, store.tls) == (URI, "ncf", True)
    assert "secret-word" not in repr(store)


@pytest.mark.parametrize(
    "value", ["writer:secret-word@host", '{"password": "secret-word"}', '["secret-word"]']
)
def test_a_secret_without_a_uri_is_refused_without_its_value(value: str) -> None:
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="ap-northeast-2")
        arn = client.create_secret(Name="feature-store", SecretString=value)["ARN"]
        with pytest.raises(InputError, match=r"--feature-store-secret .*holds neither") as refused:
            from_secret(arn, "ncf")
    assert "secret-word" not in str(refused.value)


def test_a_secret_that_is_not_there_is_refused_by_its_name() -> None:
    with mock_aws(), pytest.raises(InputError, match=r"--feature-store-secret arn:aws:.*cannot be read"):
        from_secret("arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:none", "ncf")


@pytest.fixture
def real_store() -> Iterator[tuple[FeatureStore, MongoClient]]:
    uri = os.environ.get("MONGODB_URI")
    if not uri:
        pytest.skip("MONGODB_URI names no server")
    store = FeatureStore(uri, f"ncf_test_{uuid4().hex[:12]}", tls="tls=true" in uri or "+srv" in uri)
    with MongoClient(uri) as client:
        yield store, client
        client.drop_database(store.database)


@pytest.mark.spark
def test_spark_writes_a_table_to_a_real_server(
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
def test_a_store_that_cannot_be_reached_fails_the_step_in_one_line_without_the_password(
    spark: SparkSession,
) -> None:
    nowhere = FeatureStore("mongodb://writer:secret-word@127.0.0.1:9", "ncf", tls=False, timeout_ms=50)
    table = spark.createDataFrame([("u1", 1)], "user_id string, n_interactions int")
    with pytest.raises(StepError) as failed, step("features"):
        nowhere.write(table, "user_features", "user_id", NEWER)
    assert "127.0.0.1:9" in str(failed.value)
    assert "\n" not in str(failed.value)
    assert "secret-word" not in str(failed.value)
