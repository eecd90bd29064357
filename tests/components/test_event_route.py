"""Event route: rule, target, retries and dead-letter queue."""

import json
from typing import Any

import pulumi
import pytest

from components.event_route import (
    EventRoute,
    EventRouteArgs,
    FunctionTarget,
    InputTransformer,
    RoleTarget,
    TopicTarget,
)
from components.iam import Allow
from tests import pulumi_engine
from tests.pulumi_engine import ACCOUNT, Recording

TOPIC_ARN = "arn:aws:sns:ap-northeast-2:123456789012:alarms"
FUNCTION = FunctionTarget(name="work", arn="arn:aws:lambda:ap-northeast-2:123456789012:function:work")
PROJECT_ARN = "arn:aws:codebuild:ap-northeast-2:123456789012:project/build"
BUILDS = Allow(actions=["codebuild:StartBuild"], resources=[PROJECT_ARN])
TARGET, PERMISSION = "aws:cloudwatch/eventTarget:EventTarget", "aws:lambda/permission:Permission"


def build(target: Any, transformer: InputTransformer | None = None) -> Recording:
    def program() -> Any:
        args = EventRouteArgs(
            description="A run is whole",
            source="aws.s3",
            detail_type="Object Created",
            detail={"bucket": {"name": [pulumi.Output.from_input("data")]}},
            target=target,
            transformer=transformer,
            alarm_topic_arn=TOPIC_ARN,
        )
        return EventRoute("route", args).rule_arn

    return pulumi_engine.run(program)


def test_rule_has_the_given_event_pattern() -> None:
    pattern = json.loads(build(FUNCTION).one("aws:cloudwatch/eventRule:EventRule").inputs["eventPattern"])
    assert pattern == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": ["data"]}},
    }


@pytest.mark.parametrize(
    "target",
    [FUNCTION, RoleTarget(arn=PROJECT_ARN, allow=BUILDS, account_id=ACCOUNT), TopicTarget(arn=TOPIC_ARN)],
)
def test_target_has_retries_and_a_dead_letter_queue(target: Any) -> None:
    done = build(target)
    inputs = done.one(TARGET).inputs
    assert inputs["arn"] == target.arn
    assert inputs["retryPolicy"] == {"maximumRetryAttempts": 24, "maximumEventAgeInSeconds": 7200}
    queue = done.one("aws:sqs/queue:Queue")
    assert inputs["deadLetterConfig"] == {"arn": queue.outputs["arn"]}
    document = json.loads(done.one("aws:sqs/queuePolicy:QueuePolicy").inputs["policy"])
    rule_arn = done.one("aws:cloudwatch/eventRule:EventRule").outputs["arn"]
    assert document["Statement"][1]["Condition"] == {"ArnEquals": {"aws:SourceArn": rule_arn}}


def test_function_permits_the_rule_before_the_target_exists() -> None:
    done = build(FUNCTION)
    permission = done.one(PERMISSION)
    assert permission.inputs["principal"] == "events.amazonaws.com"
    rule_arn = done.one("aws:cloudwatch/eventRule:EventRule").outputs["arn"]
    assert permission.inputs["sourceArn"] == rule_arn
    assert permission.urn in done.one(TARGET).dependencies
    assert "roleArn" not in done.one(TARGET).inputs


def test_role_target_has_a_role_with_one_permission() -> None:
    done = build(RoleTarget(arn=PROJECT_ARN, allow=BUILDS, account_id=ACCOUNT))
    role = done.one("aws:iam/role:Role")
    assert done.one(TARGET).inputs["roleArn"] == role.outputs["arn"]
    trust = json.loads(role.inputs["assumeRolePolicy"])["Statement"][0]
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    (granted,) = json.loads(done.one("aws:iam/rolePolicy:RolePolicy").inputs["policy"])["Statement"]
    assert (granted["Action"], granted["Resource"]) == (["codebuild:StartBuild"], [PROJECT_ARN])


def test_topic_target_needs_no_role_and_no_permission() -> None:
    done = build(TopicTarget(arn=TOPIC_ARN))
    assert "roleArn" not in done.one(TARGET).inputs
    assert done.of(PERMISSION) == done.of("aws:iam/role:Role") == []


def test_transformer_sets_the_targets_input() -> None:
    transformer = InputTransformer(paths={"key": "$.detail.object.key"}, template='{"key": "<key>"}')
    assert build(FUNCTION, transformer).one(TARGET).inputs["inputTransformer"] == {
        "inputPaths": {"key": "$.detail.object.key"},
        "inputTemplate": '{"key": "<key>"}',
    }
    assert "inputTransformer" not in build(FUNCTION).one(TARGET).inputs


def test_invalid_json_path_is_refused() -> None:
    with pytest.raises(ValueError, match="write a JSON path"):
        InputTransformer(paths={"key": "detail.object.key"}, template="<key>")


def test_placeholder_without_a_path_is_refused() -> None:
    with pytest.raises(ValueError, match="<bucket> has no input path"):
        InputTransformer(paths={"key": "$.detail.object.key"}, template='"<bucket>/<key>"')
