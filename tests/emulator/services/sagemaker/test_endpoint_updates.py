"""Updates of an endpoint: they leave no gap, and what fails or alarms is taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from emulator.services.sagemaker import deployment
from tests.emulator.services.sagemaker.conftest import in_service, invoke
from tests.polling import eventually

KIND = "SageMaker Endpoint State Change"
CANARY = {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50}}


@pytest.fixture
def long_baking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Baking that an alarm ends, not the time."""
    monkeypatch.setattr(deployment, "MAX_BAKING_S", 30.0)


def ring(emulator: Emulator, alarm: str, state: str) -> None:
    """An alarm in a state."""
    client = emulator.client("cloudwatch")
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


def test_an_update_switches_without_a_gap(
    emulator: Emulator, sagemaker: Any, endpoint: str, make_config: Callable[..., str], events: list[Any]
) -> None:
    config = make_config("two")
    answers: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers.append(invoke(emulator, endpoint)["answer"])  # raises when nobody answers

    with ThreadPoolExecutor(2) as pool:
        askers = [pool.submit(ask) for _ in range(2)]
        try:
            sagemaker.update_endpoint(
                EndpointName=endpoint, EndpointConfigName=config, DeploymentConfig=blue_green()
            )
            during = sagemaker.describe_endpoint(EndpointName=endpoint)
            after = in_service(sagemaker, endpoint)
            eventually(lambda: answers[-1] == "two")
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
    emulator: Emulator, sagemaker: Any, endpoint: str, make_config: Callable[..., str], events: list[Any]
) -> None:
    config = make_config("bad", "def model_fn(model_dir):\n    raise RuntimeError('no weights')\n")
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    after = in_service(sagemaker, endpoint)
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", f"{endpoint}-one")
    assert "AllTraffic did not pass the ping health check" in after["FailureReason"]
    assert invoke(emulator, endpoint)["answer"] == "one"
    told = [detail["EndpointStatus"] for kind, detail, _ in events if kind == KIND]
    assert told[-3:] == ["UPDATING", "ROLLING_BACK", "IN_SERVICE"]

    better = make_config("two")  # a rollback is not the end: the next update goes through
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=better)
    assert "FailureReason" not in in_service(sagemaker, endpoint)
    assert invoke(emulator, endpoint)["answer"] == "two"


@pytest.mark.parametrize("routing", [{}, CANARY])
def test_an_alarm_while_baking_gives_the_traffic_back(
    emulator: Emulator,
    endpoint: str,
    make_config: Callable[..., str],
    long_baking: None,
    routing: dict[str, Any],
) -> None:
    sagemaker, before = emulator.client("sagemaker"), set(emulator.host.processes.pids)
    alarm = f"{endpoint}-alarm"
    ring(emulator, alarm, "OK")
    config = blue_green(alarm, **{"WaitIntervalInSeconds": 300, **routing})
    sagemaker.update_endpoint(
        EndpointName=endpoint, EndpointConfigName=make_config("two"), DeploymentConfig=config
    )
    eventually(lambda: invoke(emulator, endpoint)["answer"] == "two")
    assert set(emulator.host.processes.pids) > before
    ring(emulator, alarm, "ALARM")
    after = in_service(sagemaker, endpoint)
    assert after["EndpointConfigName"] == f"{endpoint}-one"
    assert alarm in after["FailureReason"]
    eventually(lambda: set(emulator.host.processes.pids) == before)
    assert {invoke(emulator, endpoint)["answer"] for _ in range(10)} == {"one"}


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


def test_an_update_and_a_deletion_leave_no_process(
    emulator: Emulator, sagemaker: Any, name: str, make_config: Callable[..., str]
) -> None:
    before = set(emulator.host.processes.pids)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=make_config("one"))
    in_service(sagemaker, name)
    first = set(emulator.host.processes.pids) - before
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=make_config("two"))
    in_service(sagemaker, name)
    eventually(lambda: not first & set(emulator.host.processes.pids))
    second = set(emulator.host.processes.pids) - before
    assert (len(first), len(second)) == (1, 1)
    sagemaker.delete_endpoint(EndpointName=name)
    eventually(lambda: not second & set(emulator.host.processes.pids))
    with pytest.raises(ClientError, match="not found"):
        invoke(emulator, name)


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
