"""Batch recommendations of a trained artifact, with S3 of moto and MongoDB of mongomock."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import mongomock
import pyarrow.parquet as pq
import pytest
from moto import mock_aws

from ml.batch import job
from ml.batch.lists import documents, n_users
from ml.batch.output import Output
from ml.contract import recommendations_path
from ml.feature_store import write_documents
from ml.serving import inference
from ml.serving.store import Recommender
from tests.ml.ncf.conftest import channels, model_dir, prepared_run  # noqa: F401 -- fixtures of the model's tests

BUCKET, REGION, ARN = "data", "us-east-1", "arn:aws:sagemaker:us-east-1:123456789012:model-package/NCF/1"
PREFIX = f"recommendations/{recommendations_path('20261123T020000Z', ARN, 5)}"
N_PER_PART = 25


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", REGION)
    for name in ("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        client = boto3.client("s3", REGION)
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture(scope="module")
def model(model_dir: Path) -> Recommender:  # noqa: F811
    return inference.model_fn(str(model_dir))


@pytest.fixture(scope="module")
def inputs(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("input")
    (folder / "model").mkdir()
    with tarfile.open(folder / "model" / "model.tar.gz", "w:gz") as tar:
        tar.add(model_dir, arcname=".")
    return folder


def arguments(inputs: Path, *more: str) -> list[str]:
    return [
        *("--input", str(inputs), "--output", f"s3://{BUCKET}/recommendations/", "--top-n", "5"),
        *("--model-package", ARN, "--rollout", "2026-11-23T03:00:00+00:00"),
        *("--users-per-part", str(N_PER_PART), *more),
    ]


def objects(s3: Any) -> dict[str, bytes]:
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def rows(content: bytes) -> list[dict[str, Any]]:
    return pq.read_table(io.BytesIO(content)).to_pylist()


def test_lists_are_those_of_the_endpoint(s3: Any, inputs: Path, model: Recommender) -> None:
    assert job.main(arguments(inputs)) == 0

    written = objects(s3)
    manifest = json.loads(written.pop(f"{PREFIX}manifest.json"))
    found = [row for key in sorted(written) for row in rows(written[key])]
    assert [row["user_id"] for row in found] == model.artifact.data.user_ids.tolist()
    for row in found:
        body = json.dumps({"instances": [{"user_id": row["user_id"], "k": 5}]})
        answer = inference.predict_fn(inference.input_fn(body, "application/json"), model)["predictions"][0]
        assert (answer["strategy"], [item["item_id"] for item in answer["items"]]) == (
            row["strategy"],
            [item["item_id"] for item in row["items"]],
        )
        assert [item["score"] for item in row["items"]] == pytest.approx(
            [item["score"] for item in answer["items"]], rel=1e-5
        )
    assert manifest["files"] == [key.removeprefix(PREFIX) for key in sorted(written)]
    assert (manifest["users"], manifest["model_package"], manifest["top_n"]) == (len(found), ARN, 5)
    assert len(written) == -(-len(found) // N_PER_PART) > 1


def test_same_package_twice_gives_the_same_output(s3: Any, inputs: Path) -> None:
    assert job.main(arguments(inputs)) == 0
    before = objects(s3)
    for key in before:
        s3.delete_object(Bucket=BUCKET, Key=key)
    assert job.main(arguments(inputs)) == 0
    assert objects(s3) == before


def test_another_package_of_the_same_run_keeps_no_list_of_the_first(s3: Any, inputs: Path) -> None:
    assert job.main(arguments(inputs)) == 0
    first = objects(s3)
    assert job.main([*arguments(inputs), "--model-package", ARN.replace("NCF/1", "NCF/2")]) == 0
    assert len(objects(s3)) == 2 * len(first)


def test_job_that_starts_again_writes_only_the_parts_that_are_missing(
    s3: Any, inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job.main(arguments(inputs)) == 0
    before = objects(s3)
    lost = (f"{PREFIX}part-00001.parquet", f"{PREFIX}manifest.json")
    for key in lost:
        s3.delete_object(Bucket=BUCKET, Key=key)
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}part-00000.parquet", Body=b"kept")
    capsys.readouterr()
    assert job.main(arguments(inputs)) == 0
    after = objects(s3)
    assert after.pop(f"{PREFIX}part-00000.parquet") == b"kept"
    before.pop(f"{PREFIX}part-00000.parquet")
    assert after == before
    assert "1 new parts" in capsys.readouterr().out


class JobEndedError(Exception):
    """The job ends between two parts."""


def stored(collection: Any, rollout: str) -> Callable[..., None]:
    def write(part: Any, version: str) -> None:
        write_documents(collection, documents(part, version), rollout, version_field="rollout")

    return write


def test_feature_store_has_the_lists_of_the_last_rollout(s3: Any, model: Recommender) -> None:
    collection = mongomock.MongoClient().ncf.recommendations
    output = Output(s3, f"s3://{BUCKET}/{PREFIX}")
    first, second = "2026-11-23T03:00:00+00:00", "2026-11-24T03:00:00+00:00"

    def interrupted(part: Any, version: str) -> None:
        if output.names():
            raise JobEndedError
        stored(collection, first)(part, version)

    with pytest.raises(JobEndedError):
        job.recommend_all(model, output, 5, ARN, interrupted, n_per_part=N_PER_PART)
    assert (collection.count_documents({}), len(output.names())) == (N_PER_PART, 1)

    assert job.recommend_all(model, output, 5, ARN, stored(collection, second), n_per_part=N_PER_PART) > 0
    job.recommend_all(model, output, 5, ARN, stored(collection, first), n_per_part=N_PER_PART)  # a late retry
    found = {each["_id"]: each for each in collection.find()}
    assert set(found) == set(model.artifact.data.user_ids.tolist())
    assert {each["rollout"] for each in found.values()} == {second}
    (row,) = [each for each in rows(objects(s3)[f"{PREFIX}part-00000.parquet"]) if each["user_id"] == "u5"]
    assert found["u5"]["items"] == row["items"]
    assert found["u5"]["model_version"] == model.artifact.version
    assert n_users(model) == len(found)


@pytest.mark.parametrize("content", [b"x", None])
def test_unusable_artifact_is_one_line_and_status_1(
    s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    (tmp_path / "model").mkdir()
    if content is not None:
        (tmp_path / "model" / "model.tar.gz").write_bytes(content)
    assert job.main(arguments(tmp_path)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("batch recommendations: ")
    assert "model.tar.gz: cannot be unpacked" in line


def test_bucket_that_cannot_be_written_is_one_line_and_status_1(
    s3: Any, inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    s3.delete_bucket(Bucket=BUCKET)
    assert job.main(arguments(inputs)) == 1
    assert "NoSuchBucket" in capsys.readouterr().err
