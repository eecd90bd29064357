"""The first run: its summary file, its checkpoints, its reported metric, and its event a second time."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml import contract
from tests.e2e.platform import ServedPlatform

pytestmark = pytest.mark.e2e


def test_run_file_contains_timeline_metrics_and_recommendations(platform: ServedPlatform) -> None:
    run = platform.run
    steps = [row["step"] for row in run["timeline"]]
    assert steps[:4] == ["deploy", "publish code", "upload", "prepare"]
    expected = [
        contract.STEP_TRAINING,
        contract.STEP_EVALUATION,
        contract.STEP_QUALITY_GATE,
        contract.STEP_REGISTER,
    ]
    assert [s for s in steps if s in expected] == expected
    assert {contract.STEP_CREATE_MODEL, contract.STEP_DEPLOY, "rollout", "recommend"} <= set(steps)
    assert {row["status"] for row in run["timeline"]} == {"succeeded"}
    assert run["metrics"]["model"]["hr_at_10"] >= run["metrics"]["popularity"]["hr_at_10"] + 0.10
    assert [r["strategy"] for r in run["recommendations"]] == ["ncf"] * 3
    assert run["model_version"] == run["run_id"]


def test_spot_training_leaves_its_checkpoints_in_s3(platform: ServedPlatform) -> None:
    sagemaker, s3 = platform.stage.client("sagemaker"), platform.stage.client("s3")
    names = [each["TrainingJobName"] for each in sagemaker.list_training_jobs()["TrainingJobSummaries"]]
    job = sagemaker.describe_training_job(TrainingJobName=names[-1])
    assert job["EnableManagedSpotTraining"]
    bucket, prefix = job["CheckpointConfig"]["S3Uri"].removeprefix("s3://").split("/", 1)
    stored = s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])
    # The service stores files as they change, also one that is not written to its end.
    complete = [each for each in stored if not each["Key"].endswith(".partial")]
    assert complete
    assert all(each["Key"].endswith(".pt") and each["Size"] for each in complete)


def test_served_model_reproduces_the_reported_metric(platform: ServedPlatform) -> None:
    """HR@10 from rankings by the endpoint: the held-out item against 99 sampled unseen items per user."""
    stage, generator = platform.stage, np.random.default_rng(0)
    tables = {name: _table(platform, name) for name in (contract.USERS_FILE, contract.ITEMS_FILE)}
    users = np.array(tables[contract.USERS_FILE]["user_id"].to_pylist())
    items = np.array(tables[contract.ITEMS_FILE]["item_id"].to_pylist())
    test = _split(platform, "test")
    seen, hits = platform.seen(), []
    rows = generator.choice(len(test), size=min(300, len(test)), replace=False)
    runtime = stage.client("sagemaker-runtime")
    for row in rows:
        user, item = users[test["user_index"][row].as_py()], items[test["item_index"][row].as_py()]
        unseen = np.array([i for i in items if i not in seen[user]])
        candidates = [item, *generator.choice(unseen, size=contract.N_TEST_NEGATIVES, replace=False)]
        request = {
            "user_id": user,
            "k": 10,
            "exclude_seen": False,
            "candidates": [str(c) for c in candidates],
        }
        answer = runtime.invoke_endpoint(
            EndpointName=stage.outputs["endpoint_name"],
            ContentType="application/json",
            Body=json.dumps({"instances": [request]}),
        )
        ranked = json.load(answer["Body"])["predictions"][0]["items"]
        hits.append(item in [r["item_id"] for r in ranked])
    reported = platform.run["metrics"]["model"]["hr_at_10"]
    assert np.mean(hits) == pytest.approx(reported, abs=0.08)  # 300 users: three standard errors


def test_repeated_success_event_starts_no_second_build(platform: ServedPlatform) -> None:
    run_id = platform.run["run_id"]
    before = (platform.builds(), len(platform.executions()))
    platform.repeat_success_event(run_id)
    assert (platform.builds(), len(platform.executions())) == before


def _table(platform: ServedPlatform, name: str) -> pa.Table:
    key = contract.run_prefix(platform.run["run_id"]) + name
    bucket = platform.stage.outputs["data_bucket"]
    body = platform.stage.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return pq.read_table(io.BytesIO(body))


def _split(platform: ServedPlatform, split: str) -> pa.Table:
    prefix = contract.run_prefix(platform.run["run_id"])
    listed = platform.stage.client("s3").list_objects_v2(
        Bucket=platform.stage.outputs["data_bucket"], Prefix=f"{prefix}{split}/"
    )["Contents"]
    return pa.concat_tables([_table(platform, o["Key"].removeprefix(prefix)) for o in listed])
