"""A schedule makes one call at fixed times, and keeps what it could not make."""

import json
from typing import Any

import pytest

from components.iam import Allow, grant_pass_role
from components.schedule import Schedule, ScheduleArgs
from tests import pulumi_engine
from tests.pulumi_engine import ACCOUNT, Recording

TOPIC_ARN = "arn:aws:sns:ap-northeast-2:123456789012:alarms"
PASS = grant_pass_role("arn:aws:iam::123456789012:role/nodes", "ec2.amazonaws.com")


def arguments(**overrides: Any) -> ScheduleArgs:
    return ScheduleArgs(
        **{
            "description": "Launches the preparation",
            "expression": "cron(0 2 * * ? *)",
            "timezone": "Asia/Seoul",
            "action": "emr:runJobFlow",
            "input": '{"Name": "preparation"}',
            "allows": [PASS],
            "account_id": ACCOUNT,
            "alarm_topic_arn": TOPIC_ARN,
            **overrides,
        }
    )


def build() -> Recording:
    return pulumi_engine.run(lambda: Schedule("nightly", arguments()).name)


def test_the_call_is_made_at_its_time_in_its_zone() -> None:
    inputs = build().one("aws:scheduler/schedule:Schedule").inputs
    assert inputs["scheduleExpression"] == "cron(0 2 * * ? *)"
    assert inputs["scheduleExpressionTimezone"] == "Asia/Seoul"
    assert inputs["flexibleTimeWindow"] == {"mode": "OFF"}
    assert inputs["target"]["arn"] == "arn:aws:scheduler:::aws-sdk:emr:runJobFlow"
    assert inputs["target"]["input"] == '{"Name": "preparation"}'


def test_a_call_that_fails_is_tried_again_and_then_kept() -> None:
    done = build()
    target = done.one("aws:scheduler/schedule:Schedule").inputs["target"]
    assert target["retryPolicy"] == {"maximumRetryAttempts": 5, "maximumEventAgeInSeconds": 3600}
    assert target["deadLetterConfig"] == {"arn": done.one("aws:sqs/queue:Queue").outputs["arn"]}


def test_its_role_makes_the_call_and_leaves_dead_letters_for_this_account() -> None:
    done = build()
    document = json.loads(done.one("aws:iam/rolePolicy:RolePolicy").inputs["policy"])
    actions = [action for statement in document["Statement"] for action in statement["Action"]]
    assert actions == ["iam:PassRole", "sqs:SendMessage"]
    trust = json.loads(done.one("aws:iam/role:Role").inputs["assumeRolePolicy"])["Statement"][0]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"expression": "0 2 * * *"}, r"write 'cron\(0 2"),
        ({"expression": "cron(0 2 * * ? *"}, r"write 'cron\(0 2"),
        ({"action": "runJobFlow"}, "write 'service:apiAction'"),
        (
            {"allows": [Allow(actions=["emr:RunJobFlow"], resources=["arn:x"])], "expression": "x"},
            "write 'cron",
        ),
    ],
)
def test_what_scheduler_would_refuse_is_refused_here(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arguments(**overrides)
