"""Failed steps: reasons, retries, and the effect on other steps."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from emulator.app import Emulator
from emulator.wire import ServiceError
from tests.emulator.services.sagemaker.conftest import SageMakerUnderTest
from tests.emulator.services.sagemaker.pipelines.support import (
    create,
    follow,
    free_port,
    gate,
    get,
    processing_step,
    start,
    training_step,
)
from tests.emulator.services.sagemaker.support import WAIT_S
from tests.emulator.support import make_function
from tests.polling import eventually


def test_failed_training_job_fails_its_step_and_the_execution(sagemaker: Any, name: str) -> None:
    script = "open('/opt/ml/output/failure', 'w').write('the run is empty'); raise SystemExit(1)"
    policy = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "MaxAttempts": 3, "IntervalSeconds": 0}
    create(
        sagemaker,
        name,
        training_step("Train", script, RetryPolicies=[policy]),
        training_step("Next", "pass", DependsOn=["Train"]),
    )
    execution, steps = follow(sagemaker, start(sagemaker, name))
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert list(steps) == ["Train"]
    assert steps["Train"]["FailureReason"] == "AlgorithmError: the run is empty, exit code: 1"
    assert steps["Train"]["AttemptCount"] == 1  # an AlgorithmError is not retried


def test_failed_step_lets_running_steps_end_and_starts_no_further_step(sagemaker: Any, name: str) -> None:
    port = free_port()
    script = f"""
import socket, time
while socket.socket().connect_ex(("127.0.0.1", {port})):
    time.sleep(0.02)
"""
    create(
        sagemaker,
        name,
        training_step("Fails", "raise SystemExit(1)"),
        training_step("Slow", script),
        training_step("AfterSlow", "pass", DependsOn=["Slow"]),
    )
    arn = start(sagemaker, name)

    def failed() -> bool:
        steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        return any(step["StepStatus"] == "Failed" for step in steps)

    eventually(failed, WAIT_S, "one step fails")
    with socket.create_server(("127.0.0.1", port)):
        execution, steps = follow(sagemaker, arn)
    statuses = {key: step["StepStatus"] for key, step in steps.items()}
    assert statuses == {"Fails": "Failed", "Slow": "Succeeded"}
    assert execution["PipelineExecutionStatus"] == "Failed"


def test_refused_request_fails_the_step(sagemaker: Any, name: str) -> None:
    wrong = {"HyperParameters": {"epochs": get("Parameters.Epochs")}}
    parameters = [{"Name": "Epochs", "Type": "Integer", "DefaultValue": 3}]
    create(sagemaker, name, training_step("Train", "pass", Arguments=wrong), parameters=parameters)
    _, steps = follow(sagemaker, start(sagemaker, name))
    reason = steps["Train"]["FailureReason"]
    assert reason.startswith("ClientError: Failed to invoke sagemaker:CreateTrainingJob. Error Details: ")
    assert "HyperParameters.epochs" in reason


def test_missing_value_at_run_time_fails_the_step(sagemaker: Any, name: str) -> None:
    script = "open('/opt/ml/processing/report/report.json', 'w').write('{}')"
    create(sagemaker, name, processing_step("Evaluate", script), gate(IfSteps=[], ElseSteps=[]))
    _, steps = follow(sagemaker, start(sagemaker, name))
    assert steps["Gate"]["FailureReason"] == "ClientError: Report: model.score: there is no 'model'"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def handler(event, context):\n    return {}\n", "returned no output status"),
        ("def handler(event, context):\n    raise ValueError('not today')\n", "not today"),
    ],
    ids=["no output", "exception"],
)
def test_failed_or_incomplete_function_fails_the_lambda_step(
    emulator: Emulator, sagemaker: Any, name: str, code: str, reason: str
) -> None:
    function = f"f{abs(hash(name))}"
    step = {
        "Name": "Deploy",
        "Type": "Lambda",
        "FunctionArn": make_function(emulator, function, code),
        "Arguments": {},
        "OutputParameters": [{"OutputName": "status", "OutputType": "String"}],
    }
    create(sagemaker, function, step)
    _, steps = follow(sagemaker, start(sagemaker, function))
    assert reason in steps["Deploy"]["FailureReason"]


def test_call_over_a_resource_limit_is_retried_by_the_policy(
    under_test: SageMakerUnderTest, sagemaker: Any, name: str
) -> None:
    def refuse_twice() -> None:
        error = ServiceError("ResourceLimitExceeded", "no instance is free")
        under_test.refusals["CreateTrainingJob"] = [error, error]

    refuse_twice()
    policy = {"ExceptionType": ["SageMaker.RESOURCE_LIMIT"], "IntervalSeconds": 0, "BackoffRate": 1}
    three_retries = training_step("Train", "pass", RetryPolicies=[{**policy, "MaxAttempts": 3}])
    create(sagemaker, name, three_retries)
    _, steps = follow(sagemaker, start(sagemaker, name))
    assert (steps["Train"]["StepStatus"], steps["Train"]["AttemptCount"]) == ("Succeeded", 3)

    refuse_twice()
    one_retry = training_step("Train", "pass", RetryPolicies=[{**policy, "MaxAttempts": 1}])
    create(sagemaker, f"{name}-2", one_retry)
    _, steps = follow(sagemaker, start(sagemaker, f"{name}-2"))
    assert (steps["Train"]["StepStatus"], steps["Train"]["AttemptCount"]) == ("Failed", 2)
    assert steps["Train"]["FailureReason"].endswith("Error Details: no instance is free")


@pytest.mark.parametrize("score", ["NaN", "Infinity"])
def test_score_that_is_not_a_json_number_passes_no_gate(sagemaker: Any, name: str, score: str) -> None:
    script = (
        f"open('/opt/ml/processing/report/report.json', 'w').write('{{\"model\": {{\"score\": {score}}}}}')"
    )
    create(
        sagemaker,
        name,
        processing_step("Evaluate", script),
        gate(IfSteps=[training_step("Passed", "pass")], ElseSteps=[training_step("Lost", "pass")]),
    )
    execution, steps = follow(sagemaker, start(sagemaker, name))
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert set(steps) == {"Evaluate", "Gate"}
    assert f"{score} is not a JSON value" in steps["Gate"]["FailureReason"]
