"""Endpoints: served models, responses and errors of invocations, containers that do not start."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from tests.emulator.services.sagemaker.conftest import MakeConfig
from tests.emulator.services.sagemaker.support import (
    ROLE,
    SCRIPT,
    Put,
    archive,
    in_service,
    invoke,
    log_lines,
)


def test_endpoint_runs_the_inference_script_of_its_artifact(
    emulator: Emulator, sagemaker: Any, served_endpoint: str
) -> None:
    answer = invoke(emulator, served_endpoint)
    assert answer["answer"] == "one"
    assert answer["env"].endswith("/opt/ml/model/code")
    described = sagemaker.describe_endpoint(EndpointName=served_endpoint)
    assert described["EndpointConfigName"] == f"{served_endpoint}-one"
    variant = described["ProductionVariants"][0]
    assert (variant["VariantName"], variant["CurrentInstanceCount"]) == ("AllTraffic", 1)
    assert "loading" in log_lines(emulator, f"/aws/sagemaker/Endpoints/{served_endpoint}", "AllTraffic/i-")


def test_response_has_variant_and_content_type(emulator: Emulator, served_endpoint: str) -> None:
    response = emulator.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=served_endpoint,
        Body=b"{}",
        ContentType="application/json",
        Accept="application/x-own",
    )
    assert response["InvokedProductionVariant"] == "AllTraffic"
    assert response["ContentType"] == "application/x-own"


@pytest.mark.parametrize(
    ("request_", "status", "first_line"),
    [
        (({"refuse": 1}, "application/json"), 400, "instances: missing"),
        (({}, "text/plain"), 415, "only application/json"),
        (({"raise": 1}, "application/json"), 500, "broken"),
    ],
)
def test_error_of_the_script_is_a_model_error(
    emulator: Emulator, served_endpoint: str, request_: tuple[Any, str], status: int, first_line: str
) -> None:
    with pytest.raises(ClientError) as raised:
        invoke(emulator, served_endpoint, *request_)
    response = raised.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == status
    assert response["OriginalMessage"].splitlines()[0] == first_line
    assert f"({status}) from primary with message" in response["Error"]["Message"]


def test_exit_of_the_container_is_a_model_error(emulator: Emulator, endpoint: str) -> None:
    with pytest.raises(ClientError) as raised:
        invoke(emulator, endpoint, "crash")
    assert raised.value.response["Error"]["Code"] == "ModelError"


@pytest.mark.parametrize(
    ("target", "body", "message"),
    [("missing", b"{}", "not found"), (None, b"x" * 6_291_457, "less than or equal to 6291456")],
)
def test_unknown_endpoint_or_large_body_is_a_validation_error(
    emulator: Emulator, served_endpoint: str, target: str | None, body: bytes, message: str
) -> None:
    with pytest.raises(ClientError, match=message) as raised:
        emulator.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=target or served_endpoint, Body=body
        )
    assert raised.value.response["Error"]["Code"] == "ValidationError"


def test_endpoint_whose_container_does_not_start_has_status_failed(
    emulator: Emulator, sagemaker: Any, name: str, make_config: MakeConfig
) -> None:
    config = make_config("bad", "import nothing_of_this_name")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    found = in_service(sagemaker, name)
    assert found["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in found["FailureReason"]
    assert "ProductionVariants" not in found
    with pytest.raises(ClientError, match="not in service"):
        invoke(emulator, name)
    sagemaker.delete_endpoint(EndpointName=name)
    with pytest.raises(ClientError, match="Could not find"):
        sagemaker.describe_endpoint(EndpointName=name)


def test_model_package_is_served(
    emulator: Emulator, sagemaker: Any, name: str, put: Put, make_config: MakeConfig
) -> None:
    uri = put(f"{name}/model.tar.gz", archive({"answer": "package", "code/inference.py": SCRIPT}))
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    container = {"Image": "image", "ModelDataUrl": uri, "Environment": {"SUBMIT": "package"}}
    formats = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    package = sagemaker.create_model_package(
        ModelPackageGroupName=name, InferenceSpecification={"Containers": [container], **formats}
    )["ModelPackageArn"]
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"ModelPackageName": package}
    )
    variant = {
        "VariantName": "v",
        "ModelName": name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    in_service(sagemaker, name)
    assert invoke(emulator, name) == {"answer": "package", "env": "package"}
    sagemaker.delete_endpoint(EndpointName=name)


def test_script_imports_the_code_of_its_artifact_and_not_the_repository(
    emulator: Emulator, sagemaker: Any, name: str, make_config: MakeConfig
) -> None:
    script = """
import importlib.util, json
from helper import VALUE
def model_fn(model_dir, context):
    return [importlib.util.find_spec(module) is None for module in ("local", "ml", "fleet", "jobs")]
def transform_fn(model, body, content_type, accept):
    return json.dumps([VALUE, type(body).__name__, *model])
"""
    config = make_config("own", script, {"code/helper.py": "VALUE = 5"})
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    in_service(sagemaker, name)
    assert invoke(emulator, name) == [5, "str", True, True, True, True]
    assert invoke(emulator, name, content_type="application/x-npy")[1] == "bytes"
    sagemaker.delete_endpoint(EndpointName=name)
