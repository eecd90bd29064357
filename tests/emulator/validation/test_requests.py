"""Requests that AWS refuses, in each protocol and in the words of the service."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.app import Emulator
from tests.emulator.support import make_bucket
from tests.emulator.validation.clients import post_json, refusal, send

ROLE = "arn:aws:iam::123456789012:role/role"
TRUST = '{"Version":"2012-10-17","Statement":[]}'
REFUSED = {
    "pattern of a job name": (
        ("sagemaker", "describe_training_job", {"TrainingJobName": "ncf_train"}),
        (
            "ValidationException",
            (
                "1 validation error detected: Value 'ncf_train' at 'trainingJobName' failed to "
                "satisfy constraint: Member must satisfy regular expression pattern: "
                "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
            ),
        ),
    ),
    "length of a role name": (
        ("iam", "create_role", {"RoleName": "r" * 65, "AssumeRolePolicyDocument": TRUST}),
        (
            "ValidationError",
            (
                f"1 validation error detected: Value '{'r' * 65}' at 'roleName' failed to satisfy "
                "constraint: Member must have length less than or equal to 64"
            ),
        ),
    ),
    "required member": (
        ("emr", "run_job_flow", {"Name": "x"}),
        (
            "ValidationException",
            (
                "1 validation error detected: Value null at 'instances' failed to satisfy "
                "constraint: Member must not be null"
            ),
        ),
    ),
    "enum in a list": (
        (
            "emr",
            "add_job_flow_steps",
            {
                "JobFlowId": "j-1",
                "Steps": [{"Name": "s", "ActionOnFailure": "IGNORE", "HadoopJarStep": {"Jar": "x"}}],
            },
        ),
        (
            "ValidationException",
            (
                "1 validation error detected: Value 'IGNORE' at "
                "'steps.1.member.actionOnFailure' failed to satisfy constraint: "
                "Member must satisfy enum value set: "
                "[TERMINATE_JOB_FLOW, TERMINATE_CLUSTER, CANCEL_AND_WAIT, CONTINUE]"
            ),
        ),
    ),
    "range": (
        ("kms", "schedule_key_deletion", {"KeyId": "k", "PendingWindowInDays": 6}),
        ("ValidationException", "Value '6' at 'pendingWindowInDays'"),
    ),
    "two errors": (
        ("events", "put_rule", {"Name": "a b", "State": "ON", "EventPattern": "{}"}),
        ("ValidationException", "2 validation errors detected: Value 'a b' at 'name' failed"),
    ),
    "map value": (
        (
            "sagemaker",
            "create_model",
            {
                "ModelName": "m",
                "ExecutionRoleArn": ROLE,
                "PrimaryContainer": {"Image": "i", "Environment": {"K": "v" * 1025}},
            },
        ),
        (
            "ValidationException",
            (
                "at 'primaryContainer.environment' failed to satisfy constraint: Map value must "
                "satisfy constraint: [Member must have length less than or equal to 1024"
            ),
        ),
    ),
    "log group name": (
        ("logs", "create_log_group", {"logGroupName": "a b"}),
        ("InvalidParameterException", "Value 'a b' at 'logGroupName' failed to satisfy constraint"),
    ),
    "rest-json path": (
        ("lambda", "get_function", {"FunctionName": "a b"}),
        ("ValidationException", "Value 'a b' at 'functionName' failed to satisfy constraint"),
    ),
    "rest-json body": (
        (
            "scheduler",
            "create_schedule",
            {
                "Name": "s",
                "ScheduleExpression": "rate(1 hour)",
                "Target": {"Arn": ROLE, "RoleArn": ROLE},
                "FlexibleTimeWindow": {"Mode": "SOMETIMES"},
            },
        ),
        (
            "ValidationException",
            "Value 'SOMETIMES' at 'flexibleTimeWindow.mode' failed to satisfy constraint",
        ),
    ),
    "API Gateway": (
        ("apigatewayv2", "create_api", {"Name": "n" * 129, "ProtocolType": "HTTP"}),
        ("BadRequestException", "Invalid value at name: Member must have length less than or equal to 128"),
    ),
    "EC2 required": (
        ("ec2", "create_security_group", {"GroupName": "g", "VpcId": "vpc-1"}),
        ("MissingParameter", "The request must contain the parameter Description"),
    ),
    "EC2 enum": (
        ("ec2", "create_vpc_endpoint", {"VpcId": "vpc-1", "ServiceName": "s", "VpcEndpointType": "Tube"}),
        ("InvalidParameterValue", "Value (Tube) for parameter VpcEndpointType is invalid."),
    ),
    "EC2 integer": (
        ("ec2", "describe_vpcs", {"MaxResults": "many"}),
        ("InvalidParameterValue", "STRING_VALUE cannot be converted to Integer (maxResults)"),
    ),
    "S3 XML": (
        ("s3", "put_bucket_versioning", {"Bucket": "valid", "VersioningConfiguration": {"Status": "On"}}),
        ("MalformedXML", "did not validate against our published schema"),
    ),
    "S3 header": (
        ("s3", "put_object", {"Bucket": "valid", "Key": "k", "StorageClass": "COLD"}),
        ("InvalidArgument", "storageClass"),
    ),
    "SQS": (("sqs", "send_message", {"MessageBody": "b"}), ("MissingParameter", "parameter QueueUrl.")),
    "CodeBuild": (
        ("codebuild", "start_build", {"projectName": ""}),
        ("InvalidInputException", "at 'projectName' failed to satisfy constraint"),
    ),
    "InvokeEndpoint": (
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "n_1", "Body": b"{}"}),
        ("ValidationError", "1 validation error detected: Value 'n_1' at 'endpointName' failed"),
    ),
}


@pytest.mark.parametrize(("call", "error"), REFUSED.values(), ids=REFUSED)
def test_invalid_request_is_refused_as_the_service_words_it(
    emulator: Emulator, call: tuple[str, str, dict[str, Any]], error: tuple[str, str]
) -> None:
    service, operation, parameters = call
    code, message = refusal(emulator, service, operation, **parameters)
    assert (code, error[1] in message) == (error[0], True), message


def test_newline_in_a_container_argument_is_refused(emulator: Emulator) -> None:
    request = {
        "TrainingJobName": "lines",
        "AlgorithmSpecification": {
            "TrainingImage": "i", "TrainingInputMode": "File", "ContainerArguments": ["a\nb"],
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://b/o"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }  # fmt: skip
    code, message = refusal(emulator, "sagemaker", "create_training_job", **request)
    assert code == "ValidationException"
    assert "'algorithmSpecification.containerArguments' failed to satisfy constraint: Member must" in message


@pytest.mark.parametrize(
    ("service", "target", "body", "error"),
    [
        (
            "sagemaker",
            "SageMaker.DescribeModel",
            {"ModelName": 1},
            "NUMBER_VALUE cannot be converted to String",
        ),
        ("kms", "TrentService.ListKeys", {"Limit": "1"}, "STRING_VALUE cannot be converted to Integer"),
        ("kms", "TrentService.ListKeys", {"Limit": 1.5}, "NUMBER_VALUE cannot be converted to Integer"),
        ("events", "AWSEvents.PutTargets", {"Rule": "r", "Targets": {}}, "Start of structure or map found"),
        ("events", "AWSEvents.PutEvents", {"Entries": ["x"]}, "STRING_VALUE is not a structure"),
        ("logs", "Logs_20140328.CreateLogGroup", {"logGroupName": ["x"]}, "Start of list found"),
    ],
)
def test_value_of_another_type_is_a_serialization_error(
    emulator: Emulator, service: str, target: str, body: dict[str, Any], error: str
) -> None:
    status, answer = post_json(emulator, service, target, body)
    assert (status, answer["__type"]) == (400, "SerializationException")
    assert error in answer["message"]


def test_unknown_member_is_refused_by_name(emulator: Emulator) -> None:
    status, answer = post_json(emulator, "sagemaker", "SageMaker.ListModels", {"NameContain": "x"})
    assert (status, answer["__type"]) == (400, "ValidationException")
    assert "'nameContain' failed to satisfy constraint: Member must be one of" in answer["message"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = b"Action=DescribeVpcs&Version=2016-11-15&Vpc=1"
    status, content = send(emulator, "ec2", "POST", "/", body=body, headers=form)
    assert (status, b"<Code>UnknownParameter</Code>" in content) == (400, True)
    assert b"The parameter Vpc is not recognized" in content


def test_null_is_an_absent_member(emulator: Emulator) -> None:
    status, _ = post_json(emulator, "sagemaker", "SageMaker.ListModels", {"NameContains": None})
    assert status == 200
    status, answer = post_json(emulator, "sagemaker", "SageMaker.DescribeModel", {"ModelName": None})
    assert (status, "must not be null" in answer["message"]) == (400, True)


def test_sensitive_value_is_not_shown(emulator: Emulator) -> None:
    code, message = refusal(
        emulator, "secretsmanager", "create_secret", Name="s", SecretString="s3cret" * 20_000
    )
    assert (code, "s3cret" in message) == ("ValidationException", False)
    assert "Value at 'secretString' failed" in message


def test_unknown_action_and_service_are_refused_by_name(emulator: Emulator) -> None:
    status, answer = post_json(emulator, "kms", "TrentService.Teleport", {})
    assert (status, answer["__type"]) == (400, "UnknownOperationException")
    assert refusal(emulator, "rds", "describe_db_instances")[0] == "NotImplemented"
    assert "rds DescribeDBInstances" in refusal(emulator, "rds", "describe_db_instances")[1]


def test_bodies_of_objects_and_forms_are_read_whole(emulator: Emulator) -> None:
    bucket = make_bucket(emulator, "whole")
    s3 = emulator.client("s3")
    s3.put_object(Bucket=bucket, Key="a/b c+é//", Body=b"<not xml", Metadata={"k": "v"}, Tagging="a=b")
    assert s3.get_object(Bucket=bucket, Key="a/b c+é//")["Body"].read() == b"<not xml"
    ec2 = emulator.client("ec2")
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": f"k{n}", "Value": "v"} for n in range(12)]}]
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tags)["Vpc"]
    assert len(vpc["Tags"]) == 12
