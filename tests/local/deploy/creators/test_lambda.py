"""Creators of Lambda functions."""

from __future__ import annotations

import io
import zipfile

import pytest

from emulator import moto_state
from emulator.app import Emulator
from local.deploy.errors import UnusedInputError
from tests.local.deploy.conftest import DeploySource
from tests.local.projects import TAGS

FUNCTION = """
trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
role = aws.iam.Role("r", assume_role_policy=json.dumps({"Statement": [trust]}))
queue = aws.sqs.Queue("q")
def function(name, **more):
    code = pulumi.AssetArchive({"handler.py": pulumi.StringAsset("def handler(event, context): return 1")})
    return aws.lambda_.Function(name, role=role.arn, handler="handler.handler", runtime="python3.12",
                                code=code, **more)
"""


def test_function(deploy_source: DeploySource, emulator: Emulator) -> None:
    name = deploy_source(
        FUNCTION
        + """
f = function("f", timeout=7, memory_size=256, architectures=["arm64"], reserved_concurrent_executions=3,
             layers=["arn:aws:lambda:ap-northeast-2:017000801446:layer:AWSLambdaPowertoolsPythonV3-python312-arm64:38"],
             environment={"variables": {"STEP": "1"}}, tracing_config={"mode": "Active"},
             logging_config={"log_format": "JSON", "log_group": "/own"},
             dead_letter_config={"target_arn": queue.arn})
aws.lambda_.Permission("p", function=f.name, action="lambda:InvokeFunction", principal="events.amazonaws.com",
                       source_arn="arn:aws:events:ap-northeast-2:123456789012:rule/x")
aws.lambda_.FunctionEventInvokeConfig("i", function_name=f.name, maximum_retry_attempts=1,
    maximum_event_age_in_seconds=60, destination_config={"on_failure": {"destination": queue.arn}})
pulumi.export("name", f.name)
"""
    ).outputs["name"]
    client = emulator.client("lambda")

    function = client.get_function(FunctionName=name)
    configuration = function["Configuration"]
    assert configuration["Timeout"] == 7
    assert configuration["Environment"] == {"Variables": {"STEP": "1"}}
    assert configuration["LoggingConfig"]["LogGroup"] == "/own"
    assert configuration["TracingConfig"] == {"Mode": "Active"}
    assert function["Tags"] == TAGS
    assert function["Concurrency"]["ReservedConcurrentExecutions"] == 3
    asynchronous = client.get_function_event_invoke_config(FunctionName=name)
    assert asynchronous["MaximumRetryAttempts"] == 1
    assert asynchronous["DestinationConfig"]["OnFailure"]["Destination"].startswith("arn:aws:sqs:")


def test_deployed_package_is_the_archive_of_the_program(
    deploy_source: DeploySource, emulator: Emulator
) -> None:
    names = deploy_source(
        FUNCTION + 'pulumi.export("names", pulumi.Output.all(function("one").name, function("two").name))'
    ).outputs["names"]
    packages = {moto_state.backend("lambda", emulator.region).get_function(name).code_bytes for name in names}

    assert len(packages) == 1, "equal files give equal archives"
    with zipfile.ZipFile(io.BytesIO(packages.pop())) as package:
        assert package.namelist() == ["handler.py"]
        assert package.read("handler.py") == b"def handler(event, context): return 1"


def test_unknown_setting_is_refused(deploy_source: DeploySource) -> None:
    with pytest.raises(UnusedInputError, match=r"Function f: .* does not honour the input snapStart"):
        deploy_source(FUNCTION + 'function("f", snap_start={"apply_on": "PublishedVersions"})')
