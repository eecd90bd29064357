"""Steps that fail: with whose reason, after how many attempts, and what becomes of the other steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.app import Emulator
from emulator.wire import ServiceError
from tests.emulator.services.sagemaker.conftest import SageMakerUnderTest
from tests.emulator.services.sagemaker.pipelines import (
    create,
    follow,
    gate,
    get,
    processing_step,
    start,
    training_step,
)
from tests.emulator.support import make_function
from tests.polling import eventually


def test_a_failed_training_job_fails_its_step_and_ends_the_execution(sagemaker: Any, name: str) -> None:
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
    assert steps["Train"]["AttemptCount"] == 1  # an algorithm's own error is not retried


def test_after_a_failure_running_steps_end_and_no_other_starts(
    sagemaker: Any, name: str, tmp_path: Path
) -> None:
    script = f"""
import pathlib, time
while not pathlib.Path("{tmp_path}/go").exists():
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

    eventually(failed)
    (tmp_path / "go").touch()
    execution, steps = follow(sagemaker, arn)
    statuses = {key: step["StepStatus"] for key, step in steps.items()}
    assert statuses == {"Fails": "Failed", "Slow": "Succeeded"}
    assert execution["PipelineExecutionStatus"] == "Failed"


def test_a_request_that_the_service_refuses_fails_the_step(sagemaker: Any, name: str) -> None:
    wrong = {"HyperParameters": {"epochs": get("Parameters.Epochs")}}
    parameters = [{"Name": "Epochs", "Type": "Integer", "DefaultValue": 3}]
    create(sagemaker, name, training_step("Train", "pass", Arguments=wrong), parameters=parameters)
    _, steps = follow(sagemaker, start(sagemaker, name))
    reason = steps["Train"]["FailureReason"]
    assert reason.startswith("ClientError: Failed to invoke sagemaker:CreateTrainingJob. Error Details: ")
    assert "HyperParameters.epochs" in reason


def test_a_value_that_is_missing_at_run_time_fails_the_step(sagemaker: Any, name: str) -> None:
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
)
def test_a_lambda_step_fails_with_its_function(
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
    pipeline = function
    create(sagemaker, pipeline, step)
    _, steps = follow(sagemaker, start(sagemaker, pipeline))
    assert reason in steps["Deploy"]["FailureReason"]


def test_a_call_over_a_limit_is_retried_as_the_policy_says(
    emulator: Emulator,
    under_test: SageMakerUnderTest,
    sagemaker: Any,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = under_test.provider.regional(emulator.region).training
    left, check = [2], jobs.check

    def limited(spec: dict[str, Any]) -> None:
        if left[0]:
            left[0] -= 1
            raise ServiceError("ResourceLimitExceeded", "no instance is free")
        check(spec)

    monkeypatch.setattr(jobs, "check", limited)
    policy = {"ExceptionType": ["SageMaker.RESOURCE_LIMIT"], "IntervalSeconds": 0, "BackoffRate": 1}
    patient = training_step("Train", "pass", RetryPolicies=[{**policy, "MaxAttempts": 3}])
    create(sagemaker, name, patient)
    _, steps = follow(sagemaker, start(sagemaker, name))
    assert (steps["Train"]["StepStatus"], steps["Train"]["AttemptCount"]) == ("Succeeded", 3)

    left[0] = 2
    hasty = training_step("Train", "pass", RetryPolicies=[{**policy, "MaxAttempts": 1}])
    create(sagemaker, f"{name}-2", hasty)
    _, steps = follow(sagemaker, start(sagemaker, f"{name}-2"))
    assert (steps["Train"]["StepStatus"], steps["Train"]["AttemptCount"]) == ("Failed", 2)
    assert steps["Train"]["FailureReason"].endswith("Error Details: no instance is free")
