"""Endpoint: bootstrap model, ignored changes, autoscaling and alarms."""

import gzip
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.endpoint import Endpoint, EndpointArgs
from components.iam import Allow, policy
from components.model_artifact import bootstrap_artifact
from components.rollout_alarms import AnswerMetrics
from tests import pulumi_engine
from tests.pulumi_engine import ACCOUNT, RecordedResource, Recording

KEY_ARN = "arn:aws:kms:ap-northeast-2:123456789012:key/key-1"
TOPIC_ARN = "arn:aws:sns:ap-northeast-2:123456789012:alarms"
READ = Allow(actions=["s3:GetObject"], resources=["arn:aws:s3:::artifacts/models/*"])
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
ANSWERS = AnswerMetrics(
    namespace="NCF", answers="Answers", bad_answers="BadAnswers", unknown_version="unknown"
)
DESCRIPTION = {"schema_version": 1, "model_version": "bootstrap"}


def arguments(tmp_path: Path, **overrides: Any) -> EndpointArgs:
    (tmp_path / "model.tar.gz").write_bytes(b"")
    return EndpointArgs(
        **{
            "endpoint_name": "ncf-dev",
            "variant_name": "AllTraffic",
            "image": "763104351884.dkr.ecr.ap-northeast-2.amazonaws.com/pytorch-inference:2.6.0-cpu-py312",
            "environment": {"SAGEMAKER_PROGRAM": "inference.py"},
            "bootstrap": pulumi.FileAsset(str(tmp_path / "model.tar.gz")),
            "bootstrap_bucket": "artifacts",
            "bootstrap_key": "models/bootstrap/model.tar.gz",
            "instance_type": "ml.m5.large",
            "min_instances": 2,
            "max_instances": 10,
            "target_invocations_per_minute": 600,
            "max_latency_ms": 300,
            "bootstrap_version": "bootstrap",
            "latency_minutes": 3,
            "answers": ANSWERS,
            "model_allows": [READ],
            "kms_key_arn": KEY_ARN,
            "log_retention_days": 14,
            "account_id": ACCOUNT,
            "alarm_topic_arn": TOPIC_ARN,
            **overrides,
        }
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    args = arguments(tmp_path_factory.mktemp("endpoint"))

    def program() -> dict[str, Any]:
        endpoint = Endpoint("endpoint", args)
        return {"alarms": endpoint.rollout_alarms.names, "invoke": policy([endpoint.grant_invoke()])}

    return pulumi_engine.run(program)


def test_bootstrap_model_uses_the_artifact_without_network(done: Recording) -> None:
    model = done.one("aws:sagemaker/model:Model").inputs
    container = model["primaryContainer"]
    assert container["modelDataUrl"] == "s3://artifacts/models/bootstrap/model.tar.gz"
    assert container["environment"] == {"SAGEMAKER_PROGRAM": "inference.py"}
    assert model["enableNetworkIsolation"] is True


def test_changes_of_the_bootstrap_model_are_ignored(done: Recording) -> None:
    ignored = {each.type.rpartition(":")[2]: each.ignore_changes for each in done.resources}
    assert ignored["Endpoint"] == ("endpointConfigName",)
    assert ignored["EndpointConfiguration"] == ("productionVariants",)
    assert ignored["Model"] == ("primaryContainer",)


def test_only_the_endpoint_has_a_fixed_name(done: Recording) -> None:
    assert done.one("aws:sagemaker/endpoint:Endpoint").inputs["name"] == "ncf-dev"
    assert "name" not in done.one("aws:sagemaker/model:Model").inputs
    assert "name" not in done.one("aws:sagemaker/endpointConfiguration:EndpointConfiguration").inputs


def test_autoscaling_follows_invocations_between_its_bounds(done: Recording) -> None:
    target = done.one("aws:appautoscaling/target:Target").inputs
    assert target["resourceId"] == "endpoint/ncf-dev/variant/AllTraffic"
    assert (target["minCapacity"], target["maxCapacity"]) == (2, 10)
    scaling = done.one("aws:appautoscaling/policy:Policy").inputs
    tracking = scaling["targetTrackingScalingPolicyConfiguration"]
    assert tracking["predefinedMetricSpecification"] == {
        "predefinedMetricType": "SageMakerVariantInvocationsPerInstance"
    }
    assert tracking["targetValue"] == 600
    config = done.one("aws:sagemaker/endpointConfiguration:EndpointConfiguration").inputs
    (variant,) = config["productionVariants"]
    assert (variant["variantName"], variant["initialInstanceCount"]) == ("AllTraffic", 2)
    assert config["kmsKeyArn"] == KEY_ARN


def test_errors_and_latency_have_alarms(done: Recording) -> None:
    errors, latency = (done.one(ALARM, name) for name in ("endpoint-errors", "endpoint-latency"))
    assert not {errors.outputs["name"], latency.outputs["name"]} & set(done.values["alarms"])
    dimensions = {"EndpointName": "ncf-dev", "VariantName": "AllTraffic"}
    for alarm, metric, statistic, threshold in (
        (errors, "Invocation5XXErrors", "Sum", 5),
        (latency, "ModelLatency", "p99", 300_000),
    ):
        first, requests, _ = alarm.inputs["metricQueries"]
        assert (first["metric"]["metricName"], first["metric"]["stat"]) == (metric, statistic)
        assert (requests["metric"]["metricName"], requests["metric"]["stat"]) == ("Invocations", "Sum")
        assert first["metric"]["dimensions"] == requests["metric"]["dimensions"] == dimensions
        assert alarm.inputs["threshold"] == threshold


def is_in_alarm(alarm: RecordedResource, **values: float) -> bool:
    """Whether an alarm's expression exceeds its threshold for the values of one minute."""
    expression = alarm.inputs["metricQueries"][-1]["expression"]
    found = re.fullmatch(r"IF\((\w+) >= (\d+), (?:(\d+) \* )?(\w+)(?: / (\w+))?, 0\)", expression)
    assert found is not None, expression
    guard, least, factor, value, divisor = found.groups()
    if values[guard] < int(least):
        return False
    result = int(factor or 1) * values[value] / (values[divisor] if divisor else 1)
    return result > alarm.inputs["threshold"]


@pytest.mark.parametrize(
    ("failures", "requests", "expected"),
    [
        (1, 1, False),  # one failure of the container
        (1, 10, False),
        (2, 2, False),
        (3, 3, True),  # everything fails
        (3, 1000, False),
        (51, 1000, True),
    ],
)
def test_single_failure_of_the_container_starts_no_alarm(
    done: Recording, failures: int, requests: int, expected: bool
) -> None:
    alarm = done.one(ALARM, "endpoint-errors")
    assert is_in_alarm(alarm, failures=failures, requests=requests) is expected


@pytest.mark.parametrize(("requests", "expected"), [(1, False), (19, False), (20, True)])
def test_latency_of_a_handful_of_invocations_starts_no_alarm(
    done: Recording, requests: int, expected: bool
) -> None:
    alarm = done.one(ALARM, "endpoint-latency")
    assert is_in_alarm(alarm, latency=400_000, requests=requests) is expected
    assert alarm.inputs["evaluationPeriods"] == 3


def test_log_group_of_sagemaker_is_created_before_the_endpoint(done: Recording) -> None:
    group = done.one("aws:cloudwatch/logGroup:LogGroup")
    assert group.inputs["name"] == "/aws/sagemaker/Endpoints/ncf-dev"
    assert group.inputs["retentionInDays"] == 14
    assert group.urn in done.one("aws:sagemaker/endpoint:Endpoint").dependencies


def test_invoke_permission_names_the_endpoint_only(done: Recording) -> None:
    (statement,) = json.loads(done.values["invoke"])["Statement"]
    assert statement["Action"] == ["sagemaker:InvokeEndpoint"]
    assert statement["Resource"] == ["arn:aws:sagemaker:ap-northeast-2:123456789012:endpoint/ncf-dev"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"endpoint_name": "ncf_dev"}, "63 at most"),
        ({"min_instances": 3, "max_instances": 2}, "1 ≤ min ≤ max"),
        ({"min_instances": 0}, "1 ≤ min ≤ max"),
    ],
)
def test_invalid_endpoint_is_refused(tmp_path: Path, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arguments(tmp_path, **overrides)


def test_bootstrap_artifact_has_code_and_no_weights() -> None:
    packed = bootstrap_artifact(DESCRIPTION, {"inference.py": b"def model_fn(): ..."})
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as tar:
        assert tar.getnames() == ["code/inference.py", "model.json"]
        described = tar.extractfile("model.json")
        assert described is not None
        assert json.load(described) == DESCRIPTION


def test_bootstrap_artifact_is_deterministic() -> None:
    code = {"inference.py": b"a", "ml/contract.py": b"b"}
    shuffled = bootstrap_artifact(dict(reversed(DESCRIPTION.items())), dict(reversed(code.items())))
    assert bootstrap_artifact(DESCRIPTION, code) == shuffled
