"""Schedule: API call, retries and dead-letter queue."""

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


def test_schedule_makes_the_call_at_its_time() -> None:
    inputs = build().one("aws:scheduler/schedule:Schedule").inputs
    assert inputs["scheduleExpression"] == "cron(0 2 * * ? *)"
    assert inputs["scheduleExpressionTimezone"] == "Asia/Seoul"
    assert inputs["flexibleTimeWindow"] == {"mode": "OFF"}
    assert inputs["target"]["arn"] == "arn:aws:scheduler:::aws-sdk:emr:runJobFlow"
    assert inputs["target"]["input"] == '{"Name": "preparation"}'


def test_failed_call_is_retried_and_kept() -> None:
    done = build()
    target = done.one("aws:scheduler/schedule:Schedule").inputs["target"]
    assert target["retryPolicy"] == {"maximumRetryAttempts": 5, "maximumEventAgeInSeconds": 3600}
    assert target["deadLetterConfig"] == {"arn": done.one("aws:sqs/queue:Queue").outputs["arn"]}


def test_schedule_role_permits_the_call_and_the_dead_letter_queue() -> None:
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
def test_invalid_schedule_is_refused(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arguments(**overrides)
