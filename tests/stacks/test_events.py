"""Events of a stage: rules that match them, targets, retries, dead-letter queues and alarms."""

import json
from typing import Any

import pytest
from moto.events.models import EventPattern

from tests.repository import ROOT, STAGES
from tests.stacks.program import recorded

pytestmark = pytest.mark.parametrize("stage", STAGES)

EVENTS = ROOT / "tests" / "events"
QUEUE, ALARM = "aws:sqs/queue:Queue", "aws:cloudwatch/metricAlarm:MetricAlarm"
TARGET, FUNCTION = "aws:cloudwatch/eventTarget:EventTarget", "aws:lambda/function:Function"


def matching_rules(stage: str, event: dict[str, Any]) -> set[str]:
    """Names of the stage's rules that an event matches."""
    return {
        rule.name
        for rule in recorded(stage).of("aws:cloudwatch/eventRule:EventRule")
        if EventPattern.load(rule.inputs["eventPattern"]).matches_event(event)
    }


def recorded_event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))


def object_created(bucket: str, key: str) -> dict[str, Any]:
    event = recorded_event("s3_success_created")
    event["detail"]["bucket"]["name"] = f"{bucket}-1a2b3c"
    event["detail"]["object"]["key"] = key
    return event


@pytest.mark.parametrize(
    ("bucket", "key", "rules"),
    [
        ("data", "prepared/run=20261123T020000Z/_SUCCESS", {"run-prepared"}),
        ("data", "prepared/run=20261123T020000Z/manifest.json", set()),
        ("data", "prepared/run=20261123T020000Z/train/part-00000.parquet", set()),
        ("data", "raw/interactions/_SUCCESS", set()),
        ("data", "scratch/run=20261123T020000Z/splits/_SUCCESS", set()),
        ("logs", "prepared/run=20261123T020000Z/_SUCCESS", set()),
        ("artifacts", "buildspecs/20261123T020000Z.yml", {"buildspec-rendered"}),
        ("artifacts", "code/source.zip", set()),
        ("artifacts", "models/20261123T020000Z/training/job/output/model.tar.gz", set()),
    ],
)
def test_only_success_files_and_buildspecs_match_a_rule(
    stage: str, bucket: str, key: str, rules: set[str]
) -> None:
    assert matching_rules(stage, object_created(bucket, key)) == rules


def test_only_events_of_the_stages_endpoint_match(stage: str) -> None:
    event = recorded_event("endpoint_in_service")
    event["detail"]["EndpointName"] = f"ncf-{stage}"
    assert matching_rules(stage, event) == {"endpoint-changed"}
    event["detail"]["EndpointName"] = f"ncf-{stage}-2"
    assert matching_rules(stage, event) == set()


@pytest.mark.parametrize("status", ["Approved", "Rejected", "PendingManualApproval"])
def test_approval_and_rejection_match_in_every_stage(stage: str, status: str) -> None:
    event = recorded_event("model_package_approved")
    event["detail"].update(ModelPackageGroupName=f"NCF-{stage}", ModelApprovalStatus=status)
    is_review = status != "PendingManualApproval"
    assert matching_rules(stage, event) == ({"model-reviewed"} if is_review else set())


def test_metadata_change_of_a_package_matches_no_rule(stage: str) -> None:
    event = recorded_event("model_package_annotated")
    event["detail"].update(ModelPackageGroupName=f"NCF-{stage}", ModelApprovalStatus="Approved")
    assert matching_rules(stage, event) == set()


FAILURES: dict[str, dict[str, Any]] = {
    "CodeBuild Build State Change": {
        "source": "aws.codebuild",
        "detail": {"project-name": "build-1a2b3c"},
        "field": "build-status",
        "failures": {"FAILED", "FAULT", "STOPPED", "TIMED_OUT"},
        "others": {"SUCCEEDED", "IN_PROGRESS"},
    },
    "SageMaker Model Building Pipeline Execution Status Change": {
        "source": "aws.sagemaker",
        "detail": {"pipelineArn": "arn:aws:sagemaker:ap-northeast-2:123456789012:pipeline/ncf-{stage}"},
        "field": "currentPipelineExecutionStatus",
        "failures": {"Failed", "Stopped"},
        "others": {"Executing", "Succeeded"},
    },
    "EMR Cluster State Change": {
        "source": "aws.emr",
        "detail": {"name": "ncf-{stage}-preparation"},
        "field": "state",
        "failures": {"TERMINATED_WITH_ERRORS"},
        "others": {"STARTING", "RUNNING", "TERMINATED"},
    },
}


@pytest.mark.parametrize("detail_type", FAILURES)
def test_failures_are_published_to_the_topic_and_successes_are_not(stage: str, detail_type: str) -> None:
    done, failure = recorded(stage), FAILURES[detail_type]
    targets = {
        target.name.removesuffix("-target"): target.inputs["arn"]
        for target in done.of("aws:cloudwatch/eventTarget:EventTarget")
    }

    def receivers(status: str) -> list[str]:
        detail = {key: value.format(stage=stage) for key, value in failure["detail"].items()}
        detail[failure["field"]] = status
        event = {"source": failure["source"], "detail-type": detail_type, "detail": detail}
        return [targets[rule] for rule in matching_rules(stage, event)]

    topic = done.one("aws:sns/topic:Topic").outputs["arn"]
    assert {status for status in failure["failures"] if receivers(status) == [topic]} == failure["failures"]
    assert {status for status in failure["others"] if receivers(status)} == set()


def test_every_target_has_retries_and_a_dead_letter_queue(stage: str) -> None:
    done = recorded(stage)
    queues = {queue.outputs["arn"] for queue in done.of(QUEUE)}
    schedules = [each.inputs["target"] for each in done.of("aws:scheduler/schedule:Schedule")]
    targets = [each.inputs for each in done.of(TARGET)] + schedules
    assert len(targets) == len(done.of("aws:cloudwatch/eventRule:EventRule")) + len(schedules)
    assert [t for t in targets if t["retryPolicy"]["maximumRetryAttempts"] < 1] == []
    assert {t["deadLetterConfig"]["arn"] for t in targets} <= queues


def test_every_function_has_an_on_failure_queue(stage: str) -> None:
    done = recorded(stage)
    queues = {queue.outputs["arn"] for queue in done.of(QUEUE)}
    kind = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
    kept = {each.inputs["functionName"]: each.inputs["destinationConfig"] for each in done.of(kind)}
    assert set(kept) == {function.outputs["name"] for function in done.of(FUNCTION)}
    assert {each["onFailure"]["destination"] for each in kept.values()} <= queues


def test_every_queue_has_an_alarm_and_every_alarm_notifies_the_topic(stage: str) -> None:
    done = recorded(stage)
    topic = done.one("aws:sns/topic:Topic").outputs["arn"]
    alarms = [alarm.inputs for alarm in done.of(ALARM)]
    assert all(alarm["alarmActions"] == [topic] for alarm in alarms)
    # An alarm on several metrics has the dimensions in its queries.
    watched = {alarm.get("dimensions", {}).get("QueueName") for alarm in alarms}
    assert watched >= {queue.outputs["name"] for queue in done.of(QUEUE)}


def test_buckets_have_at_most_one_notification(stage: str) -> None:
    notifications = recorded(stage).of("aws:s3/bucketNotification:BucketNotification")
    buckets = [each.inputs["bucket"].split("-")[0] for each in notifications]
    assert sorted(buckets) == ["artifacts", "data"]


def test_dashboard_shows_the_queues_of_event_handlers(stage: str) -> None:
    done = recorded(stage)
    body = json.loads(done.one("aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"])
    graphs = {each["properties"].get("title"): each["properties"].get("metrics") for each in body["widgets"]}
    shown = {line[3] for line in graphs["Messages in dead-letter queues"]}
    # All queues but those of functions that handle no events and of the operations slice.
    invoked = {each.inputs["arn"] for each in done.of(TARGET)}
    handlers = {each.name for each in done.of(FUNCTION) if each.outputs["arn"] in invoked}
    operations = {
        "preparation-failed",
        "build-failed",
        "pipeline-failed",
        "batch-failed",
        "check-runs-schedule",
    }
    expected = {f"{name}-failed" for name in handlers} | {
        queue.name
        for queue in done.of(QUEUE)
        if queue.name.endswith("-undelivered") and queue.name.removesuffix("-undelivered") not in operations
    }
    assert len(expected) >= 5
    assert shown == {done.one(QUEUE, name).outputs["name"] for name in expected}


def test_dashboard_shows_the_errors_of_every_function(stage: str) -> None:
    done = recorded(stage)
    body = json.loads(done.one("aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"])
    graphs = {each["properties"].get("title"): each["properties"].get("metrics") for each in body["widgets"]}
    shown = {line[3] for line in graphs["Lambda function errors"]}
    assert shown == {function.outputs["name"] for function in done.of(FUNCTION)}
