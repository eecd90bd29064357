"""The source of a run is the ml package of one version of the code bundle."""

from __future__ import annotations

from typing import Any

import pytest

from ml import contract
from ml.manifest import ManifestError
from ml.pipeline.environment import PipelineStage, Run
from ml.pipeline.prepared import read_manifest
from ml.pipeline.source import ENTRY_POINTS, SourceError, package_files, publish_source
from tests.ml.pipeline.conftest import bundle

FILES = {**dict.fromkeys(ENTRY_POINTS, b"print()\n"), "ml/contract.py": b"", "stacks/platform.py": b"x"}


def put_bundle(s3: Any, stage: PipelineStage, content: bytes) -> Run:
    stored = s3.put_object(Bucket=stage.artifacts_bucket, Key=contract.CODE_BUNDLE_KEY, Body=content)
    return Run(run_id="20261123T020000Z", code_version=stored["VersionId"])


def published(s3: Any, stage: PipelineStage) -> dict[str, bytes]:
    listed = s3.list_objects_v2(Bucket=stage.artifacts_bucket, Prefix=contract.MODELS_PREFIX)
    return {
        each["Key"]: s3.get_object(Bucket=stage.artifacts_bucket, Key=each["Key"])["Body"].read()
        for each in listed.get("Contents", [])
    }


def test_pinned_version_is_published_although_a_newer_one_exists(s3: Any, stage: PipelineStage) -> None:
    run = put_bundle(s3, stage, bundle(FILES))
    put_bundle(s3, stage, bundle(FILES | {"ml/contract.py": b"newer"}))
    assert publish_source(s3, stage, run) == 3
    source = f"models/{run.run_id}/source/{run.code_version}/"
    assert published(s3, stage) == {
        f"{source}ml/ncf/jobs/train.py": b"print()\n",
        f"{source}ml/ncf/jobs/evaluate.py": b"print()\n",
        f"{source}ml/contract.py": b"",
    }


def test_published_objects_are_encrypted_with_the_stage_key(s3: Any, stage: PipelineStage) -> None:
    run = put_bundle(s3, stage, bundle(FILES))
    publish_source(s3, stage, run)
    head = s3.head_object(Bucket=stage.artifacts_bucket, Key=f"{run.source_prefix}ml/contract.py")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", stage.kms_key_arn)


def test_missing_version_is_named(s3: Any, stage: PipelineStage) -> None:
    put_bundle(s3, stage, bundle(FILES))
    missing = Run(run_id="20261123T020000Z", code_version="0af1c0de-0000-4000-8000-000000000000")
    with pytest.raises(SourceError, match=r"code/source\.zip at version 0af1c0de.*: no such object version$"):
        publish_source(s3, stage, missing)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a zip", "the bundle: not a zip archive"),
        (bundle({"ml/ncf/jobs/train.py": b""}), "the bundle: ml/ncf/jobs/evaluate.py is missing"),
    ],
)
def test_invalid_bundle_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=f"^{message}$"):
        package_files(content, "the bundle")


def test_only_paths_inside_the_package_are_unpacked() -> None:
    unsafe = bundle(FILES | {"ml/../../etc/passwd": b"x", "/ml/absolute.py": b"x", "ml/folder/": b""})
    assert set(package_files(unsafe, "the bundle")) == {*ENTRY_POINTS, "ml/contract.py"}


def test_bundle_above_the_size_limit_is_refused() -> None:
    with pytest.raises(SourceError, match="larger than 10 bytes when unpacked"):
        package_files(bundle(FILES), "the bundle", max_bytes=10)


@pytest.mark.parametrize("missing", [contract.SUCCESS_FILE, contract.MANIFEST_FILE])
def test_incomplete_run_is_refused(s3: Any, stage: PipelineStage, run: Run, missing: str) -> None:
    for name in {contract.SUCCESS_FILE, contract.MANIFEST_FILE} - {missing}:
        s3.put_object(Bucket=stage.data_bucket, Key=f"{run.data_prefix}{name}", Body=b"{}")
    with pytest.raises(
        ManifestError, match=rf"^s3://{stage.data_bucket}/{run.data_prefix}{missing}: no such object$"
    ):
        read_manifest(s3, stage, run)


def test_invalid_manifest_is_named(s3: Any, stage: PipelineStage, run: Run) -> None:
    for name in (contract.SUCCESS_FILE, contract.MANIFEST_FILE):
        s3.put_object(Bucket=stage.data_bucket, Key=f"{run.data_prefix}{name}", Body=b"\xff{}")
    with pytest.raises(
        ManifestError, match=rf"^s3://{stage.data_bucket}/{run.data_prefix}manifest.json: not JSON"
    ):
        read_manifest(s3, stage, run)
