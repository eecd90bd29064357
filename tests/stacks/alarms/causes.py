"""What raises each alarm: a fault of the platform in the emulator, with the function that produces it.

All events are sent, and all metrics are written, by the emulator's services, by Lambda functions or by the
evaluation.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from ml import contract
from tests.polling import eventually
from tests.stacks.alarms import failures
from tests.stacks.alarms.drift import publish_drift
from tests.stacks.alarms.stage import StageUnderTest

Cause = Callable[[StageUnderTest], None]
RULE, QUEUE = "aws:cloudwatch/eventRule:EventRule", "aws:sqs/queue:Queue"
SCHEDULE = "aws:scheduler/schedule:Schedule"
RUN_ID = "20261123T170000Z"
# Answers with errors, or late: the model has one worker, and each request waits for those before it.
BAD_MODEL = """
import time
def model_fn(folder): return None
def transform_fn(model, data, content_type, accept):
    if "slow" not in data: raise RuntimeError("no model")
    time.sleep(0.04)
    return "{}"
"""


# -- Lambda functions ---------------------------------------------------------------------------------
def function_fails(label: str) -> Cause:
    """The function gets an event that it cannot handle."""

    def cause(stage: StageUnderTest) -> None:
        _invoke(stage, label)

    return cause


def function_gives_up(label: str) -> Cause:
    """All retries of an asynchronous invocation fail."""

    def cause(stage: StageUnderTest) -> None:
        _invoke(stage, label, InvocationType="Event")
        _wait_for_message(stage, f"{label}-failed")

    return cause


def check_fails(cause: Cause) -> Cause:
    """`check_runs` may not list the runs: no event makes it fail."""

    def with_fault(stage: StageUnderTest) -> None:
        with stage.without_permission("check-runs-role", "s3:ListBucket"):
            cause(stage)

    return with_fault


def _invoke(stage: StageUnderTest, label: str, **settings: str) -> Any:
    name = stage.outputs[f"{label.replace('-', '_')}_function"]
    return stage.client("lambda").invoke(FunctionName=name, Payload=b"{}", **settings)


def _wait_for_message(stage: StageUnderTest, queue: str) -> None:
    url, sqs = stage.resource(QUEUE, queue)["url"], stage.client("sqs")

    def n_messages() -> int:
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(attributes["Attributes"]["ApproximateNumberOfMessages"])

    eventually(n_messages, what=f"a message in {queue}")


# -- events and schedules -------------------------------------------------------------------------------
def event_is_undelivered(label: str, send: Cause) -> Cause:
    """EventBridge may not call the target of the rule any more."""

    def cause(stage: StageUnderTest) -> None:
        _revoke_target(stage, label)
        send(stage)
        _wait_for_message(stage, f"{label}-undelivered")

    return cause


def _revoke_target(stage: StageUnderTest, label: str) -> None:
    rule = stage.resource(RULE, label)
    (target,) = stage.client("events").list_targets_by_rule(Rule=rule["name"])["Targets"]
    arn, functions = target["Arn"], stage.client("lambda")
    if role := target.get("RoleArn"):
        iam, name = stage.client("iam"), role.rpartition("/")[2]
        (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    elif ":lambda:" in arn:
        for statement in json.loads(functions.get_policy(FunctionName=arn)["Policy"])["Statement"]:
            if rule["arn"] in json.dumps(statement.get("Condition", {})):
                functions.remove_permission(FunctionName=arn, StatementId=statement["Sid"])
    else:
        sns = stage.client("sns")
        policy = json.loads(sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"])
        policy["Statement"] = [each for each in policy["Statement"] if each["Sid"] != "EventRules"]
        sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(policy))


def _prepare_run(stage: StageUnderTest) -> None:
    _put(stage, "data_bucket", contract.run_prefix(RUN_ID) + contract.SUCCESS_FILE, b"")


def _render_buildspec(stage: StageUnderTest) -> None:
    _put(stage, "artifacts_bucket", contract.buildspec_key(RUN_ID), b"version: 0.2")


def _put(stage: StageUnderTest, bucket: str, key: str, body: bytes) -> None:
    stage.client("s3").put_object(Bucket=stage.outputs[bucket], Key=key, Body=body)


DUE_S = 4  # on a loaded machine, an update takes a second: a schedule whose time is over never runs


def schedule_is_refused(label: str, action: str) -> Cause:
    """The role of the schedule may not make the call any more."""

    def cause(stage: StageUnderTest) -> None:
        scheduler, name = stage.client("scheduler"), stage.resource(SCHEDULE, label)["name"]
        found = scheduler.get_schedule(Name=name)
        due = datetime.now(UTC) + timedelta(seconds=DUE_S)
        with stage.without_permission(f"{label}-role", action):
            scheduler.update_schedule(
                Name=name,
                FlexibleTimeWindow=found["FlexibleTimeWindow"],
                Target=found["Target"],
                ScheduleExpression=f"at({due:%Y-%m-%dT%H:%M:%S})",
            )
            _wait_for_message(stage, f"{label}-undelivered")

    return cause


# -- API and endpoint -----------------------------------------------------------------------------------
def api_has_server_errors(stage: StageUnderTest) -> None:
    """The function behind the API cannot be loaded, for ten minutes."""
    functions, name = stage.client("lambda"), stage.outputs["recommend_function"]
    functions.update_function_configuration(FunctionName=name, Handler="missing.handler")
    assert _request(stage).status_code == 500
    stage.advance(300)
    assert _request(stage).status_code == 500
    functions.update_function_configuration(FunctionName=name, Handler="handler.handler")


def api_falls_back(stage: StageUnderTest) -> None:
    """The model answers with errors, so that the API answers with the popular list."""
    popular = {"schema_version": 1, "model_version": "m", "items": [{"item_id": "i", "score": 1}]}
    _put(stage, "artifacts_bucket", contract.FALLBACK_KEY, json.dumps(popular).encode())
    _serve_bad_model(stage)
    answers = [_request(stage) for _ in range(6)]
    assert [answer.json()["strategy"] for answer in answers] == ["fallback"] * 6


def endpoint_has_errors(stage: StageUnderTest) -> None:
    """The model answers with errors."""
    _serve_bad_model(stage)
    for _ in range(3):
        with pytest.raises(ClientError, match="ModelError"):
            _invoke_endpoint(stage, "{}")


def endpoint_is_slow(stage: StageUnderTest) -> None:
    """Requests wait for the model, in three minutes one after the other."""
    _serve_bad_model(stage)
    with ThreadPoolExecutor(20) as pool:
        for minute in range(3):
            if minute:
                stage.advance(0)
            list(pool.map(lambda _: _invoke_endpoint(stage, '"slow"'), range(20)))


def _request(stage: StageUnderTest) -> requests.Response:
    return requests.get(f"{stage.outputs['api_url'].rstrip('/')}/recommendations/u1", timeout=30)


def _invoke_endpoint(stage: StageUnderTest, body: str) -> None:
    stage.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=stage.outputs["endpoint_name"], Body=body, ContentType="application/json"
    )


def _serve_bad_model(stage: StageUnderTest) -> None:
    """Replace the endpoint's model, once."""
    sagemaker, name = stage.client("sagemaker"), "bad-model"
    endpoint = stage.outputs["endpoint_name"]
    if sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"] == name:
        return
    _put(stage, "artifacts_bucket", f"{contract.MODELS_PREFIX}bad/model.tar.gz", _archive(BAD_MODEL))
    model = stage.resource("aws:sagemaker/model:Model", "endpoint-model")
    bootstrap = sagemaker.describe_model(ModelName=model["name"])
    uri = f"s3://{stage.outputs['artifacts_bucket']}/{contract.MODELS_PREFIX}bad/model.tar.gz"
    container = {**bootstrap["PrimaryContainer"], "ModelDataUrl": uri}
    container.pop("ModelDataSource", None)
    sagemaker.create_model(
        ModelName=name, PrimaryContainer=container, ExecutionRoleArn=bootstrap["ExecutionRoleArn"]
    )
    variant = {
        "VariantName": contract.VARIANT_NAME,
        "ModelName": name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=name)
    eventually(
        lambda: sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "InService",
        what="the bad model serves",
    )


def _archive(script: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info, content = tarfile.TarInfo(f"{contract.MODEL_CODE_FOLDER}/inference.py"), script.encode()
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


# -- runs and drift -------------------------------------------------------------------------------------
def no_run_is_prepared(stage: StageUnderTest) -> None:
    """The run of the night does not come: a check finds it, one finds none."""
    key = contract.run_prefix(contract.run_id_of(datetime.now(UTC))) + contract.SUCCESS_FILE
    _put(stage, "data_bucket", key, b"")
    _invoke(stage, "check-runs")
    assert stage.state("preparation-overdue") == "OK"
    stage.client("s3").delete_object(Bucket=stage.outputs["data_bucket"], Key=key)
    stage.advance(3600)
    _invoke(stage, "check-runs")


def no_run_is_trained(stage: StageUnderTest) -> None:
    """No execution has succeeded."""
    _invoke(stage, "check-runs")


def _functions() -> dict[str, Cause]:
    causes: dict[str, Cause] = {}
    for label in ("deploy-model", "recommend", "render-buildspec", "report-rejection"):
        causes[f"{label}-errors"] = function_fails(label)
        causes[f"{label}-failed-alarm"] = function_gives_up(label)
    return causes


ROUTES: Mapping[str, Cause] = {
    "run-prepared": _prepare_run,
    "buildspec-rendered": _render_buildspec,
    "endpoint-changed": failures.endpoint_changes,
    "model-reviewed": failures.package_is_approved,
    "batch-job-failed": failures.batch_job_fails,
    "batch-failed": failures.batch_job_fails,
    "preparation-failed": failures.cluster_fails,
    "build-failed": failures.build_fails,
    "pipeline-failed": failures.execution_fails,
}
CAUSES: Mapping[str, Cause] = {
    **_functions(),
    "check-runs-errors": check_fails(function_fails("check-runs")),
    "check-runs-failed-alarm": check_fails(function_gives_up("check-runs")),
    **{f"{label}-undelivered-alarm": event_is_undelivered(label, send) for label, send in ROUTES.items()},
    "preparation-schedule-undelivered-alarm": schedule_is_refused(
        "preparation-schedule", "elasticmapreduce:RunJobFlow"
    ),
    "check-runs-schedule-undelivered-alarm": schedule_is_refused(
        "check-runs-schedule", "lambda:InvokeFunction"
    ),
    "api-errors": api_has_server_errors,
    "recommend-fallbacks": api_falls_back,
    "endpoint-errors": endpoint_has_errors,
    "endpoint-latency": endpoint_is_slow,
    "preparation-overdue": no_run_is_prepared,
    "training-overdue": no_run_is_trained,
    "drift-ndcg-drop": publish_drift,
    "drift-popularity-shift": publish_drift,
    "drift-unknown-user-share": publish_drift,
    "drift-unknown-item-share": publish_drift,
}
