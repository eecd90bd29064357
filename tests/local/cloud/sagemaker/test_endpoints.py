"""Endpoints: what they serve, how they are updated, and what becomes of an update that fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud.sagemaker import deployment
from local.cloud.server import Cloud
from tests.local.cloud.sagemaker.conftest import ROLE, archive, log_lines, wait_until

Put = Callable[[str, str | bytes], str]
Deploy = Callable[..., str]
KIND = "SageMaker Endpoint State Change"

SCRIPT = """
import json, os
from sagemaker_inference.errors import BaseInferenceToolkitError
def model_fn(model_dir):
    print("loading", flush=True)
    return open(os.path.join(model_dir, "answer")).read()
def input_fn(body, content_type):
    if content_type != "application/json":
        raise BaseInferenceToolkitError(415, "only application/json", "unsupported")
    return json.loads(body)
def predict_fn(data, model):
    if data == "crash":
        os._exit(9)
    if "raise" in data:
        raise ValueError("broken")
    if "refuse" in data:
        raise BaseInferenceToolkitError(400, "instances: missing", "bad request")
    return {"answer": model, "env": os.environ.get("SUBMIT")}
def output_fn(prediction, accept):
    return json.dumps(prediction), accept
"""


@pytest.fixture
def make_config(sagemaker: Any, put: Put, name: str) -> Callable[..., str]:
    """Makes a model and an endpoint configuration that serves it; gives the configuration's name."""

    def make(version: str, script: str = SCRIPT, files: dict[str, str] | None = None, **variant: Any) -> str:
        content = {"answer": version, "code/inference.py": script, **(files or {})}
        uri = put(f"{name}/{version}/model.tar.gz", archive(content))
        config = f"{name}-{version}"
        environment = {"SAGEMAKER_PROGRAM": "inference.py", "SUBMIT": "/opt/ml/model/code"}
        container = {"Image": "image", "ModelDataUrl": uri, "Environment": environment}
        sagemaker.create_model(ModelName=config, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        production = {
            "VariantName": "AllTraffic",
            "ModelName": config,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": 1.0,
            **variant,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[production])
        return config

    return make


@pytest.fixture
def endpoint(sagemaker: Any, name: str, make_config: Callable[..., str]) -> Iterator[str]:
    """An endpoint in service that answers "one"."""
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=make_config("one"))
    in_service(sagemaker, name)
    yield name
    in_service(sagemaker, name)
    sagemaker.delete_endpoint(EndpointName=name)


def in_service(sagemaker: Any, name: str) -> dict[str, Any]:
    """The endpoint, once nothing is going on."""

    def settled() -> dict[str, Any] | None:
        found = sagemaker.describe_endpoint(EndpointName=name)
        return found if found["EndpointStatus"] in ("InService", "Failed") else None

    return wait_until(settled)


def invoke(
    cloud: Cloud, name: str, body: Any = None, content_type: str = "application/json", **more: Any
) -> Any:
    """The endpoint's answer."""
    runtime = cloud.client("sagemaker-runtime")
    response = runtime.invoke_endpoint(
        EndpointName=name, Body=json.dumps(body or {}), ContentType=content_type, **more
    )
    return json.loads(response["Body"].read())


def ring(cloud: Cloud, alarm: str, state: str) -> None:
    """An alarm in a state."""
    client = cloud.client("cloudwatch")
    client.put_metric_alarm(
        AlarmName=alarm,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    client.set_alarm_state(AlarmName=alarm, StateValue=state, StateReason="test")


def blue_green(*alarms: str, **routing: Any) -> dict[str, Any]:
    """A DeploymentConfig."""
    traffic = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0, **routing}
    config = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": traffic, "TerminationWaitInSeconds": 300}
    }
    names = [{"AlarmName": alarm} for alarm in alarms]
    return {**config, "AutoRollbackConfiguration": {"Alarms": names}} if alarms else config


def test_an_endpoint_serves_its_artifact_s_own_script(cloud: Cloud, sagemaker: Any, endpoint: str) -> None:
    answer = invoke(cloud, endpoint)
    assert answer["answer"] == "one"
    assert answer["env"].endswith("/opt/ml/model/code")
    described = sagemaker.describe_endpoint(EndpointName=endpoint)
    assert described["EndpointConfigName"] == f"{endpoint}-one"
    variant = described["ProductionVariants"][0]
    assert (variant["VariantName"], variant["CurrentInstanceCount"]) == ("AllTraffic", 1)
    assert "loading" in log_lines(cloud, f"/aws/sagemaker/Endpoints/{endpoint}", "AllTraffic/i-")


def test_the_response_names_its_variant_and_its_type(cloud: Cloud, endpoint: str) -> None:
    response = cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint, Body=b"{}", ContentType="application/json", Accept="application/x-own"
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
def test_the_script_s_errors_are_model_errors(
    cloud: Cloud, endpoint: str, request_: tuple[Any, str], status: int, first_line: str
) -> None:
    with pytest.raises(ClientError) as raised:
        invoke(cloud, endpoint, *request_)
    response = raised.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == status
    assert response["OriginalMessage"].splitlines()[0] == first_line
    assert f"({status}) from primary with message" in response["Error"]["Message"]


def test_a_container_that_ends_is_a_model_error(cloud: Cloud, endpoint: str) -> None:
    with pytest.raises(ClientError) as raised:
        invoke(cloud, endpoint, "crash")
    assert raised.value.response["Error"]["Code"] == "ModelError"


@pytest.mark.parametrize(
    ("target", "body", "message"),
    [("missing", b"{}", "not found"), (None, b"x" * 6_291_457, "above the limit")],
)
def test_a_request_that_reaches_no_model_is_a_validation_error(
    cloud: Cloud, endpoint: str, target: str | None, body: bytes, message: str
) -> None:
    with pytest.raises(ClientError, match=message) as raised:
        cloud.client("sagemaker-runtime").invoke_endpoint(EndpointName=target or endpoint, Body=body)
    assert raised.value.response["Error"]["Code"] == "ValidationError"


def test_an_update_switches_without_a_gap(
    cloud: Cloud, sagemaker: Any, endpoint: str, make_config: Callable[..., str], events: list[Any]
) -> None:
    config = make_config("two")
    answers: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers.append(invoke(cloud, endpoint)["answer"])  # raises when nobody answers

    with ThreadPoolExecutor(2) as pool:
        askers = [pool.submit(ask) for _ in range(2)]
        try:
            sagemaker.update_endpoint(
                EndpointName=endpoint, EndpointConfigName=config, DeploymentConfig=blue_green()
            )
            during = sagemaker.describe_endpoint(EndpointName=endpoint)
            after = in_service(sagemaker, endpoint)
            wait_until(lambda: answers[-1] == "two")
        finally:
            done.set()
        for asker in askers:
            asker.result(timeout=10)
    assert (during["EndpointStatus"], during["EndpointConfigName"]) == ("Updating", f"{endpoint}-one")
    assert during["LastModifiedTime"] < after["LastModifiedTime"]
    assert during["PendingDeploymentSummary"]["EndpointConfigName"] == config
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", config)
    assert "PendingDeploymentSummary" not in after
    assert after["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TerminationWaitInSeconds"] == 300
    assert set(answers) == {"one", "two"}
    told = [
        (detail["EndpointStatus"], detail["EndpointConfigName"]) for kind, detail, _ in events if kind == KIND
    ]
    assert told[-2:] == [("UPDATING", f"{endpoint}-one"), ("IN_SERVICE", config)]


def test_an_endpoint_that_is_being_updated_is_left_alone(
    sagemaker: Any, endpoint: str, make_config: Callable[..., str]
) -> None:
    config = make_config("two")
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config, DeploymentConfig=blue_green())
    for call in (
        lambda: sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config),
        lambda: sagemaker.delete_endpoint(EndpointName=endpoint),
    ):
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint") as refused:
            call()
        assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_a_fleet_that_does_not_come_up_is_rolled_back(
    cloud: Cloud, sagemaker: Any, endpoint: str, make_config: Callable[..., str], events: list[Any]
) -> None:
    config = make_config("bad", "def model_fn(model_dir):\n    raise RuntimeError('no weights')\n")
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    after = in_service(sagemaker, endpoint)
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", f"{endpoint}-one")
    assert "AllTraffic did not pass the ping health check" in after["FailureReason"]
    assert invoke(cloud, endpoint)["answer"] == "one"
    told = [detail["EndpointStatus"] for kind, detail, _ in events if kind == KIND]
    assert told[-3:] == ["UPDATING", "ROLLING_BACK", "IN_SERVICE"]

    better = make_config("two")  # a rollback is not the end: the next update goes through
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=better)
    assert "FailureReason" not in in_service(sagemaker, endpoint)
    assert invoke(cloud, endpoint)["answer"] == "two"


@pytest.fixture
def long_baking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Baking that an alarm ends, not the time."""
    monkeypatch.setattr(deployment, "MAX_BAKING_S", 30.0)


CANARY = {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50}}


@pytest.mark.parametrize("routing", [{}, CANARY])
def test_an_alarm_while_baking_gives_the_traffic_back(
    cloud: Cloud, endpoint: str, make_config: Callable[..., str], long_baking: None, routing: dict[str, Any]
) -> None:
    sagemaker, before = cloud.client("sagemaker"), set(cloud.processes._children)
    alarm = f"{endpoint}-alarm"
    ring(cloud, alarm, "OK")
    config = blue_green(alarm, **{"WaitIntervalInSeconds": 300, **routing})
    sagemaker.update_endpoint(
        EndpointName=endpoint, EndpointConfigName=make_config("two"), DeploymentConfig=config
    )
    wait_until(lambda: invoke(cloud, endpoint)["answer"] == "two")
    assert set(cloud.processes._children) > before
    ring(cloud, alarm, "ALARM")
    after = in_service(sagemaker, endpoint)
    assert after["EndpointConfigName"] == f"{endpoint}-one"
    assert alarm in after["FailureReason"]
    wait_until(lambda: set(cloud.processes._children) == before)
    assert {invoke(cloud, endpoint)["answer"] for _ in range(10)} == {"one"}


def test_an_alarm_that_does_not_exist_is_refused(
    sagemaker: Any, endpoint: str, make_config: Callable[..., str]
) -> None:
    with pytest.raises(ClientError, match="there is no alarm missing-alarm"):
        sagemaker.update_endpoint(
            EndpointName=endpoint,
            EndpointConfigName=make_config("two"),
            DeploymentConfig=blue_green("missing-alarm"),
        )


def test_retained_variants_keep_what_autoscaling_made_of_them(
    sagemaker: Any, endpoint: str, make_config: Callable[..., str]
) -> None:
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint,
        DesiredWeightsAndCapacities=[
            {"VariantName": "AllTraffic", "DesiredWeight": 2.0, "DesiredInstanceCount": 3}
        ],
    )
    sagemaker.update_endpoint(
        EndpointName=endpoint,
        EndpointConfigName=make_config("two"),
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}],
    )
    variant = in_service(sagemaker, endpoint)["ProductionVariants"][0]
    assert (variant["DesiredInstanceCount"], variant["DesiredWeight"]) == (3, 1.0)
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=f"{endpoint}-one")
    assert in_service(sagemaker, endpoint)["ProductionVariants"][0]["DesiredInstanceCount"] == 1


def test_a_new_endpoint_that_does_not_come_up_has_failed(
    cloud: Cloud, sagemaker: Any, name: str, make_config: Callable[..., str]
) -> None:
    config = make_config("bad", "import nothing_of_this_name")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    found = in_service(sagemaker, name)
    assert found["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in found["FailureReason"]
    assert "ProductionVariants" not in found
    with pytest.raises(ClientError, match="not in service"):
        invoke(cloud, name)
    sagemaker.delete_endpoint(EndpointName=name)
    with pytest.raises(ClientError, match="Could not find"):
        sagemaker.describe_endpoint(EndpointName=name)


def test_an_update_and_a_deletion_leave_no_process(
    cloud: Cloud, sagemaker: Any, name: str, make_config: Callable[..., str]
) -> None:
    before = set(cloud.processes._children)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=make_config("one"))
    in_service(sagemaker, name)
    first = set(cloud.processes._children) - before
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=make_config("two"))
    in_service(sagemaker, name)
    wait_until(lambda: not first & set(cloud.processes._children))
    second = set(cloud.processes._children) - before
    assert (len(first), len(second)) == (1, 1)
    sagemaker.delete_endpoint(EndpointName=name)
    wait_until(lambda: not second & set(cloud.processes._children))
    with pytest.raises(ClientError, match="not found"):
        invoke(cloud, name)


def test_a_model_may_come_from_the_registry(
    cloud: Cloud, sagemaker: Any, name: str, put: Put, make_config: Callable[..., str]
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
    assert invoke(cloud, name) == {"answer": "package", "env": "package"}
    sagemaker.delete_endpoint(EndpointName=name)


def test_the_script_sees_the_artifact_and_nothing_of_the_repository(
    cloud: Cloud, sagemaker: Any, name: str, make_config: Callable[..., str]
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
    assert invoke(cloud, name) == [5, "str", True, True, True, True]
    assert invoke(cloud, name, content_type="application/x-npy")[1] == "bytes"
    sagemaker.delete_endpoint(EndpointName=name)


def test_traffic_moves_in_the_steps_of_the_policy() -> None:
    canary = {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 30}}
    linear = {"Type": "LINEAR", "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 25}}
    shares = [
        list(
            deployment.RolloutPolicy.of(
                {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
            ).shares
        )
        for routing in ({"Type": "ALL_AT_ONCE"}, canary, linear)
    ]
    assert shares == [[1.0], [0.3, 1.0], [0.25, 0.5, 0.75, 1.0]]
