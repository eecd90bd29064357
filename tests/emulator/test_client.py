"""boto3 clients without extra settings create, use and read resources in several regions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import boto3
import pytest

from emulator.app import Emulator
from tests.emulator.support import WRITE_LOGS, document, zipped
from tests.polling import eventually

REGIONS = ("ap-northeast-2", "us-east-1", "eu-west-1")
CODE = """
import boto3, json, os
def handler(event, context):
    key = event["key"]
    body = boto3.client("s3").get_object(Bucket=event["bucket"], Key=key)["Body"].read().decode()
    result = {"event": event, "body": body, "colour": os.environ["COLOUR"]}
    boto3.client("s3").put_object(Bucket=event["bucket"], Key="seen.json", Body=json.dumps(result))
"""
NOTIFICATIONS = {"EventBridgeConfiguration": {}}
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}


@dataclass(frozen=True, kw_only=True)
class Shop:
    """Resources of one region as they were requested, and their ARNs."""

    region: str
    client: Callable[[str], Any]
    bucket: str
    role_name: str
    allow: dict[str, Any]
    settings: dict[str, Any]
    function: str
    pattern: dict[str, Any]
    target: dict[str, Any]
    rule: str


@pytest.fixture(scope="module")
def session() -> boto3.session.Session:
    """Session with arbitrary credentials; shared, because each session loads botocore's service models."""
    return boto3.session.Session(aws_access_key_id="anything", aws_secret_access_key="anything")


@pytest.fixture(scope="module", params=REGIONS)
def shop(emulator: Emulator, session: boto3.session.Session, request: pytest.FixtureRequest) -> Shop:
    """Bucket, rule and function: objects named ``_SUCCESS`` invoke the function."""
    region = request.param
    client = partial(session.client, region_name=region, endpoint_url=emulator.url)
    bucket = new_bucket(client("s3"), region)
    role_name = f"runner-{region}"
    allow = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/*"],
    }
    dead_letters = new_queue(client("sqs"))
    settings = settings_of(new_role(client("iam"), role_name, allow), dead_letters)
    functions = client("lambda")
    function = functions.create_function(
        FunctionName="seen", Code={"ZipFile": zipped({"app.py": CODE})}, **settings
    )["FunctionArn"]
    pattern, target = pattern_of(bucket), target_of(function, dead_letters)
    rule = new_rule(client("events"), pattern, target)
    functions.add_permission(
        FunctionName="seen",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    return Shop(
        region=region,
        client=client,
        bucket=bucket,
        role_name=role_name,
        allow=allow,
        settings=settings,
        function=function,
        pattern=pattern,
        target=target,
        rule=rule,
    )


def new_bucket(s3: Any, region: str) -> str:
    """Create a bucket with EventBridge notifications."""
    bucket = f"shop-{region}"
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **where)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=NOTIFICATIONS)
    return bucket


def new_role(iam: Any, name: str, allow: dict[str, Any]) -> str:
    """Create the function's role; return its ARN."""
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="objects", PolicyDocument=document(allow))
    iam.put_role_policy(RoleName=name, PolicyName="logs", PolicyDocument=document(WRITE_LOGS))
    return role


def new_queue(sqs: Any) -> str:
    """Create the dead-letter queue; return its ARN."""
    queue = sqs.create_queue(QueueName="dead_letters")["QueueUrl"]
    return sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def new_rule(events: Any, pattern: dict[str, Any], target: dict[str, Any]) -> str:
    """Create a rule with one target; return its ARN."""
    rule = events.put_rule(Name="complete", EventPattern=json.dumps(pattern), Description="a run is complete")
    assert events.put_targets(Rule="complete", Targets=[target])["FailedEntryCount"] == 0
    return rule["RuleArn"]


def settings_of(role: str, dead_letters: str) -> dict[str, Any]:
    return {
        "Runtime": "python3.11",
        "Role": role,
        "Handler": "app.handler",
        "Timeout": 9,
        "MemorySize": 192,
        "Description": "sees objects",
        "Environment": {"Variables": {"COLOUR": "green"}},
        "DeadLetterConfig": {"TargetArn": dead_letters},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/shop/seen"},
        "TracingConfig": {"Mode": "Active"},
    }


def pattern_of(bucket: str) -> dict[str, Any]:
    return {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"wildcard": "in/*/_SUCCESS"}]}},
    }


def target_of(function: str, dead_letters: str) -> dict[str, Any]:
    return {
        "Id": "function",
        "Arn": function,
        "RetryPolicy": {"MaximumRetryAttempts": 4, "MaximumEventAgeInSeconds": 120},
        "DeadLetterConfig": {"Arn": dead_letters},
        "InputTransformer": {
            "InputPathsMap": {"key": "$.detail.object.key", "bucket": "$.detail.bucket.name"},
            "InputTemplate": '{"key": <key>, "bucket": <bucket>, "rule": <aws.events.rule-name>}',
        },
    }


def test_object_event_invokes_function_for_plain_client(shop: Shop) -> None:
    s3, bucket = shop.client("s3"), shop.bucket
    s3.put_object(Bucket=bucket, Key="in/run=1/part", Body=b"not this one")
    s3.put_object(Bucket=bucket, Key="in/run=1/_SUCCESS", Body=b"complete")

    found = eventually(lambda: "Contents" in s3.list_objects_v2(Bucket=bucket, Prefix="seen.json"))
    assert found
    seen = json.load(s3.get_object(Bucket=bucket, Key="seen.json")["Body"])
    expected = {"key": "in/run=1/_SUCCESS", "bucket": bucket, "rule": "complete"}
    assert seen == {"event": expected, "body": "complete", "colour": "green"}


def test_resources_read_back_as_written(shop: Shop) -> None:
    read = shop.client("s3").get_bucket_notification_configuration(Bucket=shop.bucket)
    assert {k: v for k, v in read.items() if k != "ResponseMetadata"} == NOTIFICATIONS
    iam, role_name = shop.client("iam"), shop.role_name
    assert iam.get_role(RoleName=role_name)["Role"]["AssumeRolePolicyDocument"]["Statement"] == [TRUST]
    policy = iam.get_role_policy(RoleName=role_name, PolicyName="objects")["PolicyDocument"]
    assert policy["Statement"] == [shop.allow]
    functions, events = shop.client("lambda"), shop.client("events")
    configuration = functions.get_function_configuration(FunctionName="seen")
    assert {name: configuration[name] for name in shop.settings} == shop.settings
    described = events.describe_rule(Name="complete")
    assert json.loads(described["EventPattern"]) == shop.pattern
    assert (described["Arn"], described["Description"]) == (shop.rule, "a run is complete")
    assert events.list_targets_by_rule(Rule="complete")["Targets"] == [shop.target]
    statement = json.loads(functions.get_policy(FunctionName="seen")["Policy"])["Statement"][0]
    assert statement["Condition"] == {"ArnLike": {"AWS:SourceArn": shop.rule}}


def test_resources_belong_to_the_client_region(shop: Shop) -> None:
    assert shop.region in shop.rule
    assert shop.region in shop.function
