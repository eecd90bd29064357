"""Operations that nothing runs are NotImplemented, by name."""

from __future__ import annotations

import re
from typing import Any

import pytest

from emulator.app import Emulator
from emulator.operations import SERVICES, SHARED_SIGNING_NAMES, service_model
from emulator.validation.supported import RUN, STORED, is_supported
from tests.emulator.validation.clients import refusal, send

ALL_SERVICES = sorted({*SERVICES.values(), *(service for _, _, service in SHARED_SIGNING_NAMES)})
STARTS_WORK = re.compile(r"(Start|Stop|Run|Invoke|Execute|Send|Retry|Cancel)[A-Z]|Create\w*Job$|\w*Async")
# Operations with such a name that moto carries out in full.
CARRIED_OUT_BY_MOTO = {("sqs", "SendMessage"), ("sqs", "SendMessageBatch"), ("kms", "CancelKeyDeletion")}
OUTPUT = {"S3OutputPath": "s3://b/o"}
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("sagemaker", "create_transform_job", {"TransformJobName": "t", "ModelName": "m"}),
    ("sagemaker", "create_hyper_parameter_tuning_job", {"HyperParameterTuningJobName": "t"}),
    ("sagemaker", "create_compilation_job", {"CompilationJobName": "t"}),
    ("sagemaker", "create_auto_ml_job_v2", {"AutoMLJobName": "t", "OutputDataConfig": OUTPUT}),
    ("sagemaker", "create_notebook_instance", {"NotebookInstanceName": "t"}),
    ("sagemaker", "create_model_quality_job_definition", {"JobDefinitionName": "t"}),
    ("sagemaker", "create_feature_group", {"FeatureGroupName": "t"}),
    ("sagemaker", "retry_pipeline_execution", {"PipelineExecutionArn": "arn"}),
    ("sagemaker-runtime", "invoke_endpoint_async", {"EndpointName": "e", "InputLocation": "s3://b/k"}),
    ("sagemaker-runtime", "invoke_endpoint_with_response_stream", {"EndpointName": "e", "Body": b"{}"}),
    ("lambda", "invoke_async", {"FunctionName": "f", "InvokeArgs": b"{}"}),
    ("lambda", "invoke_with_response_stream", {"FunctionName": "f"}),
    ("lambda", "create_function_url_config", {"FunctionName": "f", "AuthType": "NONE"}),
    ("lambda", "put_provisioned_concurrency_config", {
        "FunctionName": "f", "Qualifier": "1", "ProvisionedConcurrentExecutions": 1}),
    ("ec2", "run_instances", {"MinCount": 1, "MaxCount": 1, "ImageId": "ami-1"}),
    ("ec2", "request_spot_instances", {"InstanceCount": 1}),
    ("events", "start_replay", {"ReplayName": "r"}),
    ("events", "create_archive", {"ArchiveName": "a", "EventSourceArn": "arn"}),
    ("emr", "add_instance_groups", {"JobFlowId": "j-1", "InstanceGroups": []}),
    ("codebuild", "start_build_batch", {"projectName": "p"}),
    ("logs", "start_query", {"startTime": 1, "endTime": 2, "queryString": "x"}),
    ("logs", "create_export_task", {"logGroupName": "g", "fromTime": 1, "to": 2, "destination": "b"}),
    ("s3", "put_bucket_replication", {"Bucket": "b", "ReplicationConfiguration": {}}),
    ("s3", "restore_object", {"Bucket": "b", "Key": "k"}),
    ("secretsmanager", "rotate_secret", {"SecretId": "s"}),
    ("application-autoscaling", "put_scheduled_action", {"ServiceNamespace": "sagemaker"}),
    ("apigatewayv2", "create_authorizer", {"ApiId": "a", "AuthorizerType": "JWT", "Name": "n"}),
    ("sns", "create_platform_application", {"Name": "n", "Platform": "p", "Attributes": {}}),
]  # fmt: skip


@pytest.mark.parametrize(("service", "operation", "parameters"), CALLS, ids=[f"{c[0]}.{c[1]}" for c in CALLS])
def test_operation_that_moto_would_only_pretend_to_run_is_not_implemented(
    emulator: Emulator, service: str, operation: str, parameters: dict[str, Any]
) -> None:
    code, message = refusal(emulator, service, operation, **parameters)
    assert code == "NotImplemented", message
    assert operation.replace("_", "") in message.lower()


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("apigatewayv2", "get_deployments", {"ApiId": "a"}),
        ("lambda", "list_code_signing_configs", {}),
        ("kms", "describe_custom_key_stores", {}),
        ("ec2", "describe_capacity_blocks", {}),
    ],
)
def test_read_operation_that_moto_lacks_is_not_implemented(
    emulator: Emulator, service: str, operation: str, parameters: dict[str, Any]
) -> None:
    code, message = refusal(emulator, service, operation, **parameters)
    assert (code, operation.replace("_", "") in message.lower().replace(" ", "")) == ("NotImplemented", True)


def test_binary_protocol_is_not_implemented(emulator: Emulator) -> None:
    path = "/service/GraniteServiceVersion20100801/operation/ListMetrics"
    headers = {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}
    status, body = send(emulator, "monitoring", "POST", path, body=b"\xa0", headers=headers)
    assert (status, b"rpc-v2-cbor" in body) == (501, True)


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "feature"),
    [
        ("events", "put_rule", {"Name": "r", "ScheduleExpression": "rate(1 day)"}, "scheduled rules"),
        ("sns", "publish", {"PhoneNumber": "+1", "Message": "m"}, "text messages"),
        ("kms", "create_key", {"MultiRegion": True}, "multi-Region keys"),
    ],
)
def test_member_that_nothing_acts_on_is_not_implemented(
    emulator: Emulator, service: str, operation: str, parameters: dict[str, Any], feature: str
) -> None:
    code, message = refusal(emulator, service, operation, **parameters)
    assert (code, feature in message) == ("NotImplemented", True)


@pytest.mark.parametrize("service", ALL_SERVICES)
def test_listed_operations_exist_in_the_model(service: str) -> None:
    listed = f"{STORED.get(service, '')} {RUN.get(service, '')}".split()
    assert listed
    assert not set(listed) - set(service_model(service).operation_names)


@pytest.mark.parametrize("service", ALL_SERVICES)
def test_operations_that_start_work_are_run_by_a_provider(service: str) -> None:
    supported = {name for name in service_model(service).operation_names if is_supported(service, name)}
    starts = {name for name in supported if STARTS_WORK.match(name)}
    kept = {name for owner, name in CARRIED_OUT_BY_MOTO if owner == service}
    assert starts - kept <= set(RUN.get(service, "").split())
