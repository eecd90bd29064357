"""Limits that the service models do not have; each limit is tested at and above its value."""

from __future__ import annotations

import json
import zipfile
from typing import Any

import pytest

from emulator.app import Emulator
from emulator.validation import quotas_events, quotas_iam, quotas_lambda, quotas_tags
from tests.emulator.support import document, make_bucket, make_function, make_role, zipped
from tests.emulator.validation.clients import refusal

INVALID_VALUE = "InvalidParameterValueException"


def policy(length: int) -> str:
    """Policy document of a length without white space."""
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": ""}
    missing = length - len(document(statement).replace(" ", ""))
    return document({**statement, "Resource": "arn:aws:s3:::b/".ljust(missing, "x")})


def trust(length: int) -> str:
    """Trust policy of a length without white space."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    missing = length - len(document({**statement, "Sid": ""}).replace(" ", ""))
    return document({**statement, "Sid": "x" * missing})


def test_trust_policy_above_2048_characters_is_refused(emulator: Emulator) -> None:
    at, above = trust(quotas_iam.MAX_TRUST_POLICY), trust(quotas_iam.MAX_TRUST_POLICY + 1)
    call = {"RoleName": "trusting"}
    code, message = refusal(emulator, "iam", "create_role", **call, AssumeRolePolicyDocument=above)
    assert (code, message) == ("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048")
    assert refusal(emulator, "iam", "create_role", **call, AssumeRolePolicyDocument=at) == ("", "")


def test_inline_policies_of_a_role_are_counted_together(emulator: Emulator) -> None:
    make_role(emulator, "inline", "lambda.amazonaws.com")

    def put(name: str, length: int) -> tuple[str, str]:
        call = {"RoleName": "inline", "PolicyName": name, "PolicyDocument": policy(length)}
        return refusal(emulator, "iam", "put_role_policy", **call)

    assert put("one", 6_000) == put("two", 4_240) == ("", "")
    assert put("two", 4_241) == (
        "LimitExceeded",
        "Maximum policy size of 10240 bytes exceeded for role inline",
    )
    assert put("one", 5_999) == put("two", 4_241) == ("", "")


def test_managed_policy_above_6144_characters_is_refused(emulator: Emulator) -> None:
    limit = quotas_iam.MAX_MANAGED_POLICY
    create = {"PolicyName": "managed"}
    error = refusal(emulator, "iam", "create_policy", **create, PolicyDocument=policy(limit + 1))
    assert error == ("LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
    assert refusal(emulator, "iam", "create_policy", **create, PolicyDocument=policy(limit)) == ("", "")


def test_eleventh_managed_policy_of_a_role_is_refused(emulator: Emulator) -> None:
    make_role(emulator, "attached", "lambda.amazonaws.com")
    iam = emulator.client("iam")
    arns = [
        iam.create_policy(PolicyName=f"p{n}", PolicyDocument=policy(120))["Policy"]["Arn"] for n in range(11)
    ]
    errors = [
        refusal(emulator, "iam", "attach_role_policy", RoleName="attached", PolicyArn=arn) for arn in arns
    ]
    assert errors[:10] == [("", "")] * 10
    assert errors[10] == ("LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10")


@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        ({"Environment": {"Variables": {"LONG": "x" * 4_085}}}, "", ""),
        ({"Environment": {"Variables": {"LONG": "x" * 4_086}}}, INVALID_VALUE, "4KB limit"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, INVALID_VALUE, "reserved keys"),
        ({"Environment": {"Variables": {"A": "x"}}}, "ValidationException", "Map keys must satisfy"),
        ({"Timeout": 901}, "ValidationException", "less than or equal to 900"),
        ({"MemorySize": 10_241}, "ValidationException", "less than or equal to 10240"),
        ({"Layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:x:1"] * 6}, INVALID_VALUE,
         "5 layers"),
        ({"Description": "d" * 257}, "ValidationException", "less than or equal to 256"),
    ],
)  # fmt: skip
def test_function_settings_above_the_limits_are_refused(
    emulator: Emulator, settings: dict[str, Any], code: str, text: str
) -> None:
    if not emulator.client("lambda").list_functions()["Functions"]:
        make_function(emulator, "limits", "def handler(e, c): pass")
    found, message = refusal(
        emulator, "lambda", "update_function_configuration", FunctionName="limits", **settings
    )
    assert (found, text in message) == (code, True), message


def test_function_name_and_package_above_the_limits_are_refused(emulator: Emulator) -> None:
    role = make_role(emulator, "lambda-limits", "lambda.amazonaws.com")
    call = {"Role": role, "Runtime": "python3.11", "Handler": "app.handler"}
    package = {"ZipFile": zipped({"app.py": ""})}
    code, message = refusal(
        emulator, "lambda", "create_function", FunctionName="f" * 65, Code=package, **call
    )
    assert (code, "less than or equal to 64" in message) == ("ValidationException", True)
    big = {"ZipFile": b"x" * (quotas_lambda.MAX_ZIP_BYTES + 3)}
    code, _ = refusal(emulator, "lambda", "create_function", FunctionName="f", Code=big, **call)
    assert code == "RequestEntityTooLargeException"
    bomb = {"ZipFile": zipped({"app.py": " " * (quotas_lambda.MAX_UNZIPPED_BYTES + 1)}, zipfile.ZIP_DEFLATED)}
    code, message = refusal(emulator, "lambda", "create_function", FunctionName="f", Code=bomb, **call)
    assert (code, "Unzipped size must be smaller than 262144000" in message) == (INVALID_VALUE, True)


def test_events_above_256_kib_in_one_request_are_refused(emulator: Emulator) -> None:
    def put(size: int) -> tuple[str, str]:
        entry = {"Source": "shop", "DetailType": "sold", "Detail": json.dumps({"x": ""})}
        entry["Detail"] = json.dumps({"x": "y" * (size - sum(map(len, entry.values())))})
        return refusal(emulator, "events", "put_events", Entries=[entry])

    assert put(quotas_events.MAX_EVENTS_BYTES) == ("", "")
    code, message = put(quotas_events.MAX_EVENTS_BYTES + 1)
    assert (code, message) == (
        "ValidationException", "Total size of the entries in the request is over the limit."
    )  # fmt: skip


def test_sixth_target_and_long_pattern_of_a_rule_are_refused(emulator: Emulator) -> None:
    events = emulator.client("events")
    events.put_rule(Name="targets", EventPattern='{"source": ["shop"]}')
    targets = [{"Id": str(n), "Arn": f"arn:aws:sqs:eu-west-1:123456789012:q{n}"} for n in range(6)]
    assert refusal(emulator, "events", "put_targets", Rule="targets", Targets=targets[:5]) == ("", "")
    assert refusal(emulator, "events", "put_targets", Rule="targets", Targets=targets[:5]) == ("", "")
    code, _ = refusal(emulator, "events", "put_targets", Rule="targets", Targets=targets[5:])
    assert code == "LimitExceededException"
    pattern = json.dumps({"source": ["x" * quotas_events.MAX_EVENT_PATTERN]})
    code, message = refusal(emulator, "events", "put_rule", Name="long", EventPattern=pattern)
    assert (code, "less than or equal to 2048" in message) == ("ValidationException", True)


def test_object_limits(emulator: Emulator) -> None:
    bucket = make_bucket(emulator, "object-limits")

    def put(**parameters: Any) -> str:
        return refusal(emulator, "s3", "put_object", Bucket=bucket, **parameters)[0]

    assert put(Key="é" * 512) == ""
    assert put(Key="é" * 512 + "x") == "KeyTooLongError"
    assert put(Key="m", Metadata={"k": "v" * 2_047}) == ""
    assert put(Key="m", Metadata={"k": "v" * 2_048}) == "MetadataTooLarge"
    tags = {"TagSet": [{"Key": str(n), "Value": ""} for n in range(11)]}
    put(Key="tagged")
    code, _ = refusal(emulator, "s3", "put_object_tagging", Bucket=bucket, Key="tagged", Tagging=tags)
    assert code == "MalformedXML"


@pytest.mark.parametrize("name", ["Upper", "a", "a..b", "192.168.0.1", "xn--a", "under_score", "a" * 64])
def test_bucket_name_that_s3_refuses_is_refused(emulator: Emulator, name: str) -> None:
    location = {"LocationConstraint": emulator.region}
    code, _ = refusal(emulator, "s3", "create_bucket", Bucket=name, CreateBucketConfiguration=location)
    assert code == "InvalidBucketName"


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "code"),
    [
        ("kms", "create_key", {"Policy": policy(32_769)}, "LimitExceededException"),
        ("kms", "schedule_key_deletion", {"KeyId": "k", "PendingWindowInDays": 31}, "ValidationException"),
        ("logs", "put_retention_policy", {"logGroupName": "g", "retentionInDays": 8},
         "InvalidParameterException"),
        ("logs", "put_log_events", {"logGroupName": "g", "logStreamName": "s", "logEvents": [
            {"timestamp": 1, "message": "x" * 2**20}]}, "InvalidParameterException"),
        ("cloudwatch", "put_metric_alarm", {"AlarmName": "a", "EvaluationPeriods": 1, "Period": 45,
         "ComparisonOperator": "GreaterThanThreshold"}, "ValidationError"),
        ("cloudwatch", "put_metric_alarm", {"AlarmName": "a", "EvaluationPeriods": 25, "Period": 3_540,
         "ComparisonOperator": "GreaterThanThreshold"}, "ValidationError"),
        ("cloudwatch", "put_metric_alarm", {"AlarmName": "a" * 256, "EvaluationPeriods": 1, "Period": 60,
         "ComparisonOperator": "GreaterThanThreshold"}, "ValidationError"),
        ("ec2", "create_security_group", {"GroupName": "g", "Description": "größer", "VpcId": "vpc-1"},
         "InvalidParameterValue"),
        ("ec2", "authorize_security_group_ingress", {"GroupId": "sg-1", "IpPermissions": [
            {"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "x" * 256}]}]},
         "InvalidParameterValue"),
        ("ec2", "create_vpc_endpoint", {"VpcId": "v", "ServiceName": "s", "PolicyDocument": policy(20_481)},
         "InvalidParameterValue"),
        ("sagemaker", "create_training_job", {"TrainingJobName": "j", "HyperParameters": {"x": "v" * 2_501}},
         "ValidationException"),
        ("sagemaker", "create_pipeline", {"PipelineName": "p", "PipelineDefinition": "x" * (2**20 + 1)},
         "ValidationException"),
        ("apigatewayv2", "create_integration", {"ApiId": "a", "IntegrationType": "AWS_PROXY",
         "TimeoutInMillis": 30_001}, "BadRequestException"),
        ("budgets", "describe_budget", {"AccountId": "123456789012", "BudgetName": "b" * 101},
         "ValidationException"),
    ],
)  # fmt: skip
def test_value_above_a_limit_is_refused(
    emulator: Emulator, service: str, operation: str, parameters: dict[str, Any], code: str
) -> None:
    assert refusal(emulator, service, operation, **parameters)[0] == code


def tagged(n_tags: int, key: str = "k") -> list[dict[str, str]]:
    """Tags with distinct keys."""
    return [{"Key": f"{key}{n}", "Value": "v"} for n in range(n_tags)]


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        (tagged(quotas_tags.MAX_TAGS + 1), "less than or equal to 50"),
        (tagged(1, "aws:"), "must not begin with aws:"),
        (tagged(1, "k" * 128), "128"),
        ([{"Key": "k", "Value": "v" * 257}], "256"),
    ],
)
def test_tags_above_the_limits_are_refused(emulator: Emulator, tags: list[dict[str, str]], text: str) -> None:
    code, message = refusal(emulator, "kms", "create_key", Tags=[
        {"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags])  # fmt: skip
    assert (code, text in message) == ("ValidationException", True), message
    specifications = [{"ResourceType": "vpc", "Tags": tags}]
    code, message = refusal(
        emulator, "ec2", "create_vpc", CidrBlock="10.0.0.0/16", TagSpecifications=specifications
    )
    assert (code, text in message) == ("InvalidParameterValue", True), message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Subject": "two\nlines"}, "Invalid parameter: Subject"),
        ({"Subject": "\u00e9"}, "Invalid parameter: Subject"),
        ({"Subject": " begins with a space"}, "Invalid parameter: Subject"),
        ({"Subject": "x" * 101}, "Invalid parameter: Subject"),
        ({"Subject": "x" * 100}, ""),
        ({"Message": ""}, "Invalid parameter: Empty message"),
    ],
)
def test_subjects_and_messages_that_sns_refuses_are_refused(
    emulator: Emulator, change: dict[str, str], message: str
) -> None:
    topic = emulator.client("sns").create_topic(Name="subjects")["TopicArn"]
    _, found = refusal(emulator, "sns", "publish", **{"TopicArn": topic, "Message": "m", **change})
    assert (message in found) if message else found == ""


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("VisibilityTimeout", "43200", "43201"),
        ("MessageRetentionPeriod", "60", "59"),
        ("ReceiveMessageWaitTimeSeconds", "20", "21"),
        ("DelaySeconds", "900", "-1"),
    ],
)
def test_queue_attributes_out_of_range_are_refused(
    emulator: Emulator, name: str, accepted: str, refused: str
) -> None:
    url = emulator.client("sqs").create_queue(QueueName="ranges")["QueueUrl"]
    for value, expected in ((accepted, ""), (refused, f"Invalid value for the parameter {name}.")):
        _, found = refusal(emulator, "sqs", "set_queue_attributes", QueueUrl=url, Attributes={name: value})
        assert found == expected
