"""Updates of endpoints: blue/green deployment, rollback and retained properties."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from emulator.metrics import Metric
from emulator.services.sagemaker.endpoints.deployment import RolloutPolicy
from emulator.wire import ServiceError
from tests.emulator.services.sagemaker.conftest import Event, MakeConfig
from tests.emulator.services.sagemaker.support import WAIT_S, in_service, invoke
from tests.polling import eventually

STATE_CHANGE = "SageMaker Endpoint State Change"
CANARY = {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50}}


def set_alarm(emulator: Emulator, alarm: str, state: str) -> None:
    """Create an alarm and set its state."""
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


def blue_green(*alarms: str, baking_s: int = 0, **routing: Any) -> dict[str, Any]:
    """DeploymentConfig with the same waiting and baking period after each step."""
    traffic = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": baking_s, **routing}
    policy = {"TrafficRoutingConfiguration": traffic, "TerminationWaitInSeconds": baking_s}
    config = {"BlueGreenUpdatePolicy": {**policy, "MaximumExecutionTimeoutInSeconds": 600}}
    names = [{"AlarmName": alarm} for alarm in alarms]
    return {**config, "AutoRollbackConfiguration": {"Alarms": names}} if alarms else config


def test_endpoint_answers_during_an_update(
    emulator: Emulator, sagemaker: Any, endpoint: str, make_config: MakeConfig, events: list[Event]
) -> None:
    config = make_config("two")
    answers: list[str] = []
    done = threading.Event()

    def invoke_until_done() -> None:
        while not done.is_set():
            answers.append(invoke(emulator, endpoint)["answer"])  # raises if there is no response

    with ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(invoke_until_done) for _ in range(2)]
        try:
            sagemaker.update_endpoint(
                EndpointName=endpoint, EndpointConfigName=config, DeploymentConfig=blue_green()
            )
            during = sagemaker.describe_endpoint(EndpointName=endpoint)
            after = in_service(sagemaker, endpoint)
            eventually(lambda: answers[-1] == "two", WAIT_S, "the new model answers")
        finally:
            done.set()
        for client in clients:
            client.result(timeout=10)
    assert (during["EndpointStatus"], during["EndpointConfigName"]) == ("Updating", f"{endpoint}-one")
    assert during["LastModifiedTime"] < after["LastModifiedTime"]
    assert during["PendingDeploymentSummary"]["EndpointConfigName"] == config
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", config)
    assert "PendingDeploymentSummary" not in after
    assert after["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] == 600
    assert set(answers) == {"one", "two"}

    def states() -> list[tuple[str, str]]:
        details = [event.detail for event in events if event.detail_type == STATE_CHANGE]
        return [(detail["EndpointStatus"], detail["EndpointConfigName"]) for detail in details]

    eventually(lambda: ("IN_SERVICE", config) in states(), WAIT_S, "the last event is published")
    assert states()[-2:] == [("UPDATING", f"{endpoint}-one"), ("IN_SERVICE", config)]


def test_endpoint_being_updated_is_not_updated_or_deleted(
    sagemaker: Any, endpoint: str, make_config: MakeConfig
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


def test_fleet_that_does_not_start_is_rolled_back(
    emulator: Emulator, sagemaker: Any, endpoint: str, make_config: MakeConfig, events: list[Event]
) -> None:
    config = make_config("bad", "def model_fn(model_dir):\n    raise RuntimeError('no weights')\n")
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    after = in_service(sagemaker, endpoint)
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", f"{endpoint}-one")
    assert "AllTraffic did not pass the ping health check" in after["FailureReason"]
    assert invoke(emulator, endpoint)["answer"] == "one"

    def states() -> list[str]:
        return [e.detail["EndpointStatus"] for e in events if e.detail_type == STATE_CHANGE]

    rollback = ["UPDATING", "ROLLING_BACK", "IN_SERVICE"]
    eventually(lambda: states()[-3:] == rollback, WAIT_S, "the rollback's events are published")

    good = make_config("two")  # after a rollback the next update succeeds
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=good)
    assert "FailureReason" not in in_service(sagemaker, endpoint)
    assert invoke(emulator, endpoint)["answer"] == "two"


@pytest.mark.parametrize("routing", [{}, CANARY])
def test_alarm_during_baking_rolls_the_update_back(
    emulator: Emulator,
    endpoint: str,
    make_config: MakeConfig,
    routing: dict[str, Any],
) -> None:
    sagemaker, before = emulator.client("sagemaker"), set(emulator.host.processes.pids)
    alarm = f"{endpoint}-alarm"
    set_alarm(emulator, alarm, "OK")
    config = blue_green(alarm, baking_s=200, **routing)
    sagemaker.update_endpoint(
        EndpointName=endpoint, EndpointConfigName=make_config("two", n_instances=2), DeploymentConfig=config
    )
    eventually(lambda: invoke(emulator, endpoint)["answer"] == "two", WAIT_S, "the new model answers")
    assert set(emulator.host.processes.pids) > before
    set_alarm(emulator, alarm, "ALARM")
    after = in_service(sagemaker, endpoint)
    assert after["EndpointConfigName"] == f"{endpoint}-one"
    assert alarm in after["FailureReason"]
    eventually(lambda: set(emulator.host.processes.pids) == before, WAIT_S, "the new fleet ends")
    assert {invoke(emulator, endpoint)["answer"] for _ in range(10)} == {"one"}


def test_update_with_a_missing_alarm_is_refused(
    sagemaker: Any, endpoint: str, make_config: MakeConfig
) -> None:
    with pytest.raises(ClientError, match="there is no alarm missing-alarm"):
        sagemaker.update_endpoint(
            EndpointName=endpoint,
            EndpointConfigName=make_config("two"),
            DeploymentConfig=blue_green("missing-alarm"),
        )


def test_update_retains_instance_counts_set_by_autoscaling(
    sagemaker: Any, endpoint: str, make_config: MakeConfig
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


def test_new_instance_count_keeps_the_weight_and_the_endpoint_answers(
    emulator: Emulator, sagemaker: Any, endpoint: str
) -> None:
    scale(sagemaker, endpoint, {"VariantName": "AllTraffic", "DesiredInstanceCount": 4})
    variant = in_service(sagemaker, endpoint)["ProductionVariants"][0]
    assert (variant["CurrentInstanceCount"], variant["CurrentWeight"], variant["DesiredWeight"]) == (
        4,
        1.0,
        1.0,
    )
    assert invoke(emulator, endpoint)["answer"] == "one"


def test_capacities_of_unknown_variants_and_of_an_endpoint_in_progress_are_refused(
    sagemaker: Any, endpoint: str, make_config: MakeConfig
) -> None:
    count = {"VariantName": "AllTraffic", "DesiredInstanceCount": 2}
    with pytest.raises(ClientError, match="other: no such variant"):
        scale(sagemaker, endpoint, count, {**count, "VariantName": "other"})
    with pytest.raises(ClientError, match="not unique"):
        scale(sagemaker, endpoint, count, count)
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=make_config("two"))
    with pytest.raises(ClientError, match="in-progress"):
        scale(sagemaker, endpoint, count)
    assert in_service(sagemaker, endpoint)["ProductionVariants"][0]["DesiredInstanceCount"] == 1


def scale(sagemaker: Any, endpoint: str, *desired: dict[str, Any]) -> None:
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint, DesiredWeightsAndCapacities=list(desired)
    )


def test_update_and_deletion_end_the_old_processes(
    emulator: Emulator, sagemaker: Any, name: str, make_config: MakeConfig
) -> None:
    def pids() -> set[int]:
        return set(emulator.host.processes.pids)

    before = pids()
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=make_config("one"))
    in_service(sagemaker, name)
    first = pids() - before
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=make_config("two"))
    in_service(sagemaker, name)
    eventually(lambda: not first & pids(), WAIT_S, "the first process ends")
    second = pids() - before
    assert (len(first), len(second)) == (1, 1)
    sagemaker.delete_endpoint(EndpointName=name)
    eventually(lambda: not second & pids(), WAIT_S, "the second process ends")
    with pytest.raises(ClientError, match="not found"):
        invoke(emulator, name)


def test_policy_moves_traffic_in_steps() -> None:
    canary = {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 30}}
    linear = {"Type": "LINEAR", "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 25}}
    configs = [
        {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
        for routing in ({"Type": "ALL_AT_ONCE"}, canary, linear)
    ]
    shares = [list(RolloutPolicy.from_config(config, n_instances=4).shares) for config in configs]
    assert shares == [[1.0], [0.3, 1.0], [0.25, 0.5, 0.75, 1.0]]


@pytest.mark.parametrize(
    ("routing", "n_instances", "message"),
    [
        ({"Type": "CANARY"}, 2, "CanarySize: required"),
        (CANARY, 1, "1 of 1 instances; at most 50 percent"),
        ({"Type": "CANARY", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 2}}, 3, "2 of 3 instances"),
        ({"Type": "LINEAR", "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 5}}, 20, "less than 10"),
        ({**CANARY, "WaitIntervalInSeconds": 700}, 2, "not larger than the total waiting time of 700 s"),
    ],
)
def test_policy_that_sagemaker_refuses_is_refused(
    routing: dict[str, Any], n_instances: int, message: str
) -> None:
    with pytest.raises(ServiceError, match=message):
        RolloutPolicy.from_config(blue_green(**routing), n_instances)


def test_metrics_of_invocations_tell_the_configurations_apart(
    emulator: Emulator, sagemaker: Any, endpoint: str, make_config: MakeConfig
) -> None:
    def count(metric: str, **dimensions: str) -> float:
        found = {"EndpointName": endpoint, "VariantName": "AllTraffic", **dimensions}
        key = Metric.of(emulator.region, "AWS/SageMaker", metric, found)
        return sum(emulator.host.metrics.between(key, 0, 2**40))

    config = make_config("two")
    invoke(emulator, endpoint)
    for request in ({"refuse": 1}, {"raise": 1}):
        with pytest.raises(ClientError):
            invoke(emulator, endpoint, request)
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    in_service(sagemaker, endpoint)
    invoke(emulator, endpoint)
    with pytest.raises(ClientError):
        invoke(emulator, endpoint, "crash")
    names = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")
    assert [count(name, EndpointConfigName=f"{endpoint}-one") for name in names] == [3, 1, 1, 2]
    assert [count(name, EndpointConfigName=config) for name in names] == [2, 0, 0, 1]
    assert [count(name) for name in names] == [5, 1, 1, 3]
    assert count("ModelLatency") > 0


def test_waiting_and_baking_periods_are_limited_to_the_maximum() -> None:
    policy = RolloutPolicy.from_config(blue_green(baking_s=300), 1, max_baking_s=0.5)
    assert (policy.wait_s, policy.termination_wait_s) == (0.5, 0.5)
    policy = RolloutPolicy.from_config(blue_green(baking_s=0), 1, max_baking_s=0.5)
    assert (policy.wait_s, policy.termination_wait_s) == (0, 0)
