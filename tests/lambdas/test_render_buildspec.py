"""`render_buildspec`: one buildspec per run, only for a valid run, and again for a wanted repeat."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.sagemaker.models import sagemaker_backends

from ml import contract
from ml.pipeline.execution import REPEATABLE, display_name
from tests.lambdas.functions import FakeContext, event, load

DATA, ARTIFACTS = "ncf-dev-data-3f1c9a7", "ncf-dev-artifacts"
RUN_ID = "20261123T020000Z"
ENVIRONMENT = {
    "ARTIFACTS_BUCKET": ARTIFACTS,
    "CODE_BUNDLE_KEY": contract.CODE_BUNDLE_KEY,
    "BUILDSPECS_PREFIX": contract.BUILDSPECS_PREFIX,
    "PREPARED_PREFIX": contract.PREPARED_PREFIX,
    "PIPELINE_NAME": "ncf-dev",
}
MANIFEST: dict[str, Any] = {
    "schema_version": contract.SCHEMA_VERSION,
    "run_id": RUN_ID,
    "counts": {
        "events_read": 120,
        "kept": 100,
        "quarantined": {"no_item": 3, "time_out_of_range": 2},
        "duplicates": 5,
        "filtered": 10,
        "users": 20,
        "items": 30,
        "train": 60,
        "validation": 20,
        "test": 20,
    },
}


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="ap-northeast-2")
        for bucket in (DATA, ARTIFACTS):
            client.create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"}
            )
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        client.put_object(Bucket=ARTIFACTS, Key=contract.CODE_BUNDLE_KEY, Body=b"zip")
        client.put_object(
            Bucket=DATA, Key=f"{contract.run_prefix(RUN_ID)}manifest.json", Body=json.dumps(MANIFEST)
        )
        yield client


@pytest.fixture
def render(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Call the function with the event of a `_SUCCESS` that was written ``later_s`` seconds from now."""
    module = load("render_buildspec", "handler", monkeypatch, ENVIRONMENT)

    def call(later_s: float = -60) -> dict[str, str]:
        created = event("s3_success_created")
        created["time"] = (datetime.now(UTC) + timedelta(seconds=later_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return module.handler(created, FakeContext())

    return call


def executed(status: str) -> Any:
    """An execution of the run in moto, with a status."""
    sagemaker = boto3.client("sagemaker", region_name="ap-northeast-2")
    arguments = {"PipelineName": "ncf-dev", "RoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/pipeline"}
    sagemaker.create_pipeline(**arguments, PipelineDefinition="{}", ClientRequestToken="t" * 32)
    sagemaker.start_pipeline_execution(
        PipelineName="ncf-dev", PipelineExecutionDisplayName=display_name(RUN_ID)
    )
    (pipeline,) = sagemaker_backends[ACCOUNT_ID]["ap-northeast-2"].pipelines.values()
    (execution,) = pipeline.pipeline_executions.values()
    execution.pipeline_execution_status = status


@pytest.fixture
def logic(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load("render_buildspec", "logic", monkeypatch)


def buildspec(s3: Any) -> dict[str, Any]:
    stored = s3.get_object(Bucket=ARTIFACTS, Key=contract.buildspec_key(RUN_ID))
    return yaml.safe_load(stored["Body"].read())


def test_complete_run_gets_a_buildspec_that_runs_the_pipeline(s3: Any, render: Any) -> None:
    version = s3.head_object(Bucket=ARTIFACTS, Key=contract.CODE_BUNDLE_KEY)["VersionId"]
    assert render() == {
        "status": "Rendered",
        "run_id": RUN_ID,
        "key": contract.buildspec_key(RUN_ID),
    }
    spec = buildspec(s3)
    assert spec["version"] == 0.2
    assert spec["env"]["variables"] == {
        contract.ENV_RUN_ID: RUN_ID,
        contract.ENV_CODE_VERSION: version,
        "SAGEMAKER_VALIDATE_ROLE": "false",
    }
    assert spec["phases"]["build"]["commands"] == ["python -m ml.pipeline"]
    assert spec["phases"]["install"]["commands"] == [
        "python -m pip install --quiet --requirement requirements/pipeline.txt"
    ]


def versions(s3: Any) -> list[dict[str, Any]]:
    return s3.list_object_versions(Bucket=ARTIFACTS, Prefix=contract.BUILDSPECS_PREFIX)["Versions"]


@pytest.mark.parametrize("status", [None, "Executing", "Succeeded", "Failed", "Stopped"])
def test_repeated_event_does_not_change_the_buildspec(s3: Any, render: Any, status: str | None) -> None:
    render()
    first = buildspec(s3)
    s3.put_object(Bucket=ARTIFACTS, Key=contract.CODE_BUNDLE_KEY, Body=b"newer zip")
    if status:
        executed(status)
    assert render()["status"] == "AlreadyRendered"
    assert buildspec(s3) == first
    assert len(versions(s3)) == 1


@pytest.mark.parametrize("status", ["Executing", "Succeeded"])
def test_run_in_progress_or_succeeded_is_not_rendered_again(s3: Any, render: Any, status: str) -> None:
    render()
    executed(status)
    assert render(later_s=60)["status"] == "AlreadyRendered"
    assert len(versions(s3)) == 1


@pytest.mark.parametrize("status", [None, "Failed", "Stopped", "Stopping"])
def test_run_whose_execution_failed_is_rendered_again_with_the_current_code(
    s3: Any, render: Any, status: str | None
) -> None:
    render()
    repaired = s3.put_object(Bucket=ARTIFACTS, Key=contract.CODE_BUNDLE_KEY, Body=b"repaired zip")
    if status:
        executed(status)
    assert render(later_s=60)["status"] == "RenderedAgain"
    assert buildspec(s3)["env"]["variables"][contract.ENV_CODE_VERSION] == repaired["VersionId"]
    assert len(versions(s3)) == 2


def test_run_without_a_manifest_gets_no_buildspec(s3: Any, render: Any) -> None:
    s3.delete_object(Bucket=DATA, Key=f"{contract.run_prefix(RUN_ID)}manifest.json")
    with pytest.raises(ValueError, match=r"^s3://.*/manifest.json: no such object$"):
        render()
    assert "Contents" not in s3.list_objects_v2(Bucket=ARTIFACTS, Prefix=contract.BUILDSPECS_PREFIX)


def test_missing_code_bundle_is_named(s3: Any, render: Any) -> None:
    s3.delete_object(Bucket=ARTIFACTS, Key=contract.CODE_BUNDLE_KEY)
    with pytest.raises(ValueError, match=rf"^s3://{ARTIFACTS}/code/source.zip: no such object$"):
        render()


def test_copied_run_is_rendered_with_the_run_id_of_its_key(s3: Any, render: Any) -> None:
    key = f"{contract.run_prefix(RUN_ID)}manifest.json"
    s3.put_object(Bucket=DATA, Key=key, Body=json.dumps({**MANIFEST, "run_id": "20261122T020000Z"}))
    assert render()["run_id"] == RUN_ID
    assert buildspec(s3)["env"]["variables"][contract.ENV_RUN_ID] == RUN_ID


@pytest.mark.parametrize(
    "key",
    [
        "prepared/run=20261123T020000Z/train/part-00000.parquet",
        "prepared/run=20261123T020000Z/train/_SUCCESS",
        "prepared/run=2026-11-23/_SUCCESS",
        "prepared/run=20261123T020000Z\n/_SUCCESS",
        "prepared/run=20261123T020000Z/_SUCCESS.tmp",
        "elsewhere/prepared/run=20261123T020000Z/_SUCCESS",
        "_SUCCESS",
    ],
)
def test_other_object_keys_are_refused(logic: ModuleType, key: str) -> None:
    other = event("s3_success_created")
    other["detail"]["object"]["key"] = key
    with pytest.raises(logic.EventError, match="key"):
        logic.prepared_run(other, contract.PREPARED_PREFIX)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"detail": None},
        {"detail": {"bucket": {"name": "b"}}},
        {"detail": {"bucket": {"name": "b"}, "object": {"key": "k"}}, "time": "yesterday"},
    ],
)
def test_event_of_another_service_is_refused(logic: ModuleType, broken: dict[str, Any]) -> None:
    with pytest.raises(logic.EventError, match=r"detail\.bucket\.name"):
        logic.prepared_run(broken, contract.PREPARED_PREFIX)


def changed(**changes: Any) -> bytes:
    manifest = deepcopy(MANIFEST)
    for path, value in changes.items():
        target = manifest
        *parents, last = path.split("__")
        for parent in parents:
            target = target[parent]
        if value is None:
            del target[last]
        else:
            target[last] = value
    return json.dumps(manifest).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b'{"run_id": "\xff"}', "not JSON"),
        (b"[]", "not an object"),
        (b'"text"', "not an object"),
        (changed(counts=[]), "not an object"),
        (changed(schema_version=2), "schema_version is 2"),
        (changed(run_id="yesterday"), "run_id 'yesterday'"),
        (changed(run_id=None), "run_id is missing"),
        (changed(counts__kept=None), "kept is missing"),
        (changed(counts__kept="100"), "counts.kept is '100'"),
        (changed(counts__train=True), "counts.train is True"),
        (changed(counts__duplicates=-1), "counts.duplicates is -1"),
        (changed(counts__quarantined__no_item=4), "filtered add up to 121"),
        (changed(counts__train=61), "counts.kept is 100, but the splits have 101"),
        (changed(counts__train=80, counts__test=0), "counts.test is 0"),
    ],
)
def test_invalid_manifest_is_refused_with_the_name_of_the_field(
    logic: ModuleType, content: bytes, message: str
) -> None:
    with pytest.raises(logic.EventError, match=r"^s3://b/manifest\.json: ") as caught:
        logic.check_manifest(content, "s3://b/manifest.json")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", [None, "null", "", 'v"\n  INJECTED: "1', "a b", "x" * 1025])
def test_unexpected_object_version_is_refused(logic: ModuleType, version: str | None) -> None:
    with pytest.raises(logic.EventError, match="code bundle"):
        logic.render("${run_id} ${code_version}", RUN_ID, version)


def test_constants_equal_those_of_the_contract(logic: ModuleType) -> None:
    assert logic.SCHEMA_VERSION == contract.SCHEMA_VERSION
    assert logic.SUCCESS_FILE == contract.SUCCESS_FILE
    assert logic.MANIFEST_FILE == contract.MANIFEST_FILE
    assert logic.SPLITS == contract.SPLITS
    assert logic.RUN_ID.pattern == contract.RUN_ID_PATTERN.pattern
    assert logic.execution_name(RUN_ID) == display_name(RUN_ID)
    assert set(logic.REPEATABLE) == {*REPEATABLE, "Stopping"}
