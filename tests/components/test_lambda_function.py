"""Lambda function: code, log group, role, retries and alarms."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.iam import Allow
from components.lambda_function import LambdaFunction, LambdaFunctionArgs
from tests import pulumi_engine
from tests.pulumi_engine import Recording

KEY_ARN = "arn:aws:kms:ap-northeast-2:123456789012:key/key-1"
TOPIC_ARN = "arn:aws:sns:ap-northeast-2:123456789012:alarms"
LAYER_ARN = "arn:aws:lambda:ap-northeast-2:017000801446:layer:Powertools:1"
READ = Allow(actions=["s3:GetObject"], resources=["arn:aws:s3:::things/*"])


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "handler.py").write_text("def handler(event, context): return event\n")
    (tmp_path / "logic.py").write_text("")
    return tmp_path


def arguments(code: Path, **overrides: Any) -> LambdaFunctionArgs:
    return LambdaFunctionArgs(
        **{
            "code": code,
            "environment": {"ENDPOINT_NAME": "ncf-dev"},
            "allows": [READ],
            "layer_arns": [LAYER_ARN],
            "kms_key_arn": KEY_ARN,
            "alarm_topic_arn": TOPIC_ARN,
            "timeout_s": 30,
            "memory_mib": 256,
            "log_retention_days": 14,
            **overrides,
        }
    )


def build(code: Path, **overrides: Any) -> Recording:
    return pulumi_engine.run(lambda: LambdaFunction("work", arguments(code, **overrides)).arn)


def granted(done: Recording) -> dict[str, list[str]]:
    document = json.loads(done.one("aws:iam/rolePolicy:RolePolicy").inputs["policy"])
    return {action: s["Resource"] for s in document["Statement"] for action in s["Action"]}


def test_function_has_code_environment_and_limits(code: Path) -> None:
    inputs = build(code, reserved_concurrency=5).one("aws:lambda/function:Function").inputs
    assert sorted(inputs["code"].assets) == ["handler.py", "logic.py"]
    assert inputs["environment"] == {"variables": {"ENDPOINT_NAME": "ncf-dev"}}
    assert (inputs["timeout"], inputs["memorySize"]) == (30, 256)
    assert inputs["reservedConcurrentExecutions"] == 5
    assert inputs["layers"] == [LAYER_ARN]
    assert inputs["tracingConfig"] == {"mode": "Active"}


def test_log_group_is_encrypted_and_has_retention(code: Path) -> None:
    done = build(code)
    group = done.one("aws:cloudwatch/logGroup:LogGroup")
    assert (group.inputs["retentionInDays"], group.inputs["kmsKeyId"]) == (14, KEY_ARN)
    logging = done.one("aws:lambda/function:Function").inputs["loggingConfig"]
    assert logging["logGroup"] == group.outputs["name"]


def test_function_role_has_basic_and_given_permissions(code: Path) -> None:
    done = build(code)
    group_arn = done.one("aws:cloudwatch/logGroup:LogGroup").outputs["arn"]
    queue_arn = done.one("aws:sqs/queue:Queue").outputs["arn"]
    assert granted(done) == {
        "logs:CreateLogStream": [f"{group_arn}:*"],
        "logs:PutLogEvents": [f"{group_arn}:*"],
        "xray:PutTelemetryRecords": ["*"],
        "xray:PutTraceSegments": ["*"],
        "kms:Decrypt": [KEY_ARN],
        "sqs:SendMessage": [queue_arn],
        "s3:GetObject": ["arn:aws:s3:::things/*"],
    }


def test_failed_event_is_retried_twice_and_kept(code: Path) -> None:
    done = build(code)
    invoke = done.one("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig").inputs
    assert invoke["maximumRetryAttempts"] == 2
    queue_arn = done.one("aws:sqs/queue:Queue").outputs["arn"]
    assert invoke["destinationConfig"] == {"onFailure": {"destination": queue_arn}}


def test_errors_and_dead_letters_have_alarms(code: Path) -> None:
    alarms = build(code).of("aws:cloudwatch/metricAlarm:MetricAlarm")
    assert {alarm.name for alarm in alarms} == {"work-errors", "work-failed-alarm"}
    assert all(alarm.inputs["alarmActions"] == [TOPIC_ARN] for alarm in alarms)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"timeout_s": 901}, "timeout_s 901: Lambda takes 1 to 900"),
        ({"timeout_s": 0}, "timeout_s 0: Lambda takes 1 to 900"),
        ({"memory_mib": 64}, "memory_mib 64: Lambda takes 128 to 10240"),
        ({"handler": "main.run"}, "has no main.py"),
    ],
)
def test_values_outside_of_lambdas_limits_are_refused(
    code: Path, overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        arguments(code, **overrides)
