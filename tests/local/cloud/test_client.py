"""An independent AWS client sets everything up, and reads it back as it wrote it."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from local.cloud import Cloud
from tests.local.cloud.support import document, wait_for, zipped

REGIONS = ("ap-northeast-2", "us-east-1", "eu-west-1")
CODE = """
import boto3, json, os
def handler(event, context):
    key = event["key"]
    body = boto3.client("s3").get_object(Bucket=event["bucket"], Key=key)["Body"].read().decode()
    result = {"event": event, "body": body, "colour": os.environ["COLOUR"]}
    boto3.client("s3").put_object(Bucket=event["bucket"], Key="seen.json", Body=json.dumps(result))
"""


@pytest.mark.parametrize("region", REGIONS)
def test_an_object_runs_the_function_of_a_plain_client(cloud: Cloud, region: str) -> None:
    session = boto3.session.Session(
        aws_access_key_id="anything", aws_secret_access_key="anything", region_name=region
    )

    def client(service: str) -> Any:
        return session.client(service, endpoint_url=cloud.url)

    s3, iam, functions, events, sqs = (client(s) for s in ("s3", "iam", "lambda", "events", "sqs"))
    bucket = f"shop-{region}"
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **where)
    notifications = {"EventBridgeConfiguration": {}}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=notifications)

    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    allow = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]}
    role_name = f"runner-{region}"
    role = iam.create_role(RoleName=role_name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=role_name, PolicyName="objects", PolicyDocument=document(allow))

    queue = sqs.create_queue(QueueName="letters")["QueueUrl"]
    letters = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    settings = {
        "Runtime": "python3.11",
        "Role": role,
        "Handler": "app.handler",
        "Timeout": 9,
        "MemorySize": 192,
        "Description": "sees objects",
        "Environment": {"Variables": {"COLOUR": "green"}},
        "DeadLetterConfig": {"TargetArn": letters},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/shop/seen"},
        "TracingConfig": {"Mode": "Active"},
    }
    function = functions.create_function(
        FunctionName="seen", Code={"ZipFile": zipped({"app.py": CODE})}, **settings
    )["FunctionArn"]

    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"wildcard": "in/*/_SUCCESS"}]}},
    }
    rule = events.put_rule(Name="whole", EventPattern=json.dumps(pattern), Description="a run is whole")[
        "RuleArn"
    ]
    target = {
        "Id": "function",
        "Arn": function,
        "RetryPolicy": {"MaximumRetryAttempts": 4, "MaximumEventAgeInSeconds": 120},
        "DeadLetterConfig": {"Arn": letters},
        "InputTransformer": {
            "InputPathsMap": {"key": "$.detail.object.key", "bucket": "$.detail.bucket.name"},
            "InputTemplate": '{"key": <key>, "bucket": <bucket>, "rule": <aws.events.rule-name>}',
        },
    }
    assert events.put_targets(Rule="whole", Targets=[target])["FailedEntryCount"] == 0
    functions.add_permission(
        FunctionName="seen",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )

    s3.put_object(Bucket=bucket, Key="in/run=1/part", Body=b"not this one")
    s3.put_object(Bucket=bucket, Key="in/run=1/_SUCCESS", Body=b"whole")

    found = wait_for(lambda: "Contents" in s3.list_objects_v2(Bucket=bucket, Prefix="seen.json"))
    assert found
    seen = json.load(s3.get_object(Bucket=bucket, Key="seen.json")["Body"])
    expected = {"key": "in/run=1/_SUCCESS", "bucket": bucket, "rule": "whole"}
    assert seen == {"event": expected, "body": "whole", "colour": "green"}

    # Everything reads back as it was written.
    read = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert {k: v for k, v in read.items() if k != "ResponseMetadata"} == notifications
    assert iam.get_role(RoleName=role_name)["Role"]["AssumeRolePolicyDocument"]["Statement"] == [trust]
    assert iam.get_role_policy(RoleName=role_name, PolicyName="objects")["PolicyDocument"]["Statement"] == [
        allow
    ]
    configuration = functions.get_function_configuration(FunctionName="seen")
    assert {name: configuration[name] for name in settings} == settings
    described = events.describe_rule(Name="whole")
    assert json.loads(described["EventPattern"]) == pattern
    assert (described["Arn"], described["Description"]) == (rule, "a run is whole")
    assert events.list_targets_by_rule(Rule="whole")["Targets"] == [target]
    statement = json.loads(functions.get_policy(FunctionName="seen")["Policy"])["Statement"][0]
    assert statement["Condition"] == {"ArnLike": {"AWS:SourceArn": rule}}
    assert region in rule
    assert region in function
