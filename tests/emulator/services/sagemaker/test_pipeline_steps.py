"""What the steps of a pipeline give each other, in which order they run, and what is told about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from emulator.app import Emulator
from tests.emulator.services.sagemaker.conftest import ROLE
from tests.emulator.services.sagemaker.pipelines import (
    EVALUATE,
    create,
    follow,
    gate,
    get,
    processing_step,
    start,
    training_step,
)
from tests.emulator.support import make_function

RETURN_OUTPUTS = "def handler(event, context):\n    return {'status': 'seen ' + event['package'], 'n': 2}\n"
CONTAINER = {"Image": "image", "ModelDataUrl": get("Steps.Train.ModelArtifacts.S3ModelArtifacts")}


@dataclass(frozen=True)
class Ended:
    """An execution that has ended, and its steps by name, newest first."""

    arn: str
    execution: dict[str, Any]
    steps: dict[str, Any]


@pytest.fixture(scope="module")
def ended(emulator: Emulator, sagemaker: Any) -> Ended:
    """An execution with a step of every type, each on what the ones before it made; the last one fails."""
    name = "a-step-of-every-type"
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    function_arn = make_function(emulator, name, RETURN_OUTPUTS)
    create(
        sagemaker,
        name,
        training_step("Train", "pass"),
        processing_step("Evaluate", EVALUATE % 0.5, DependsOn=["Train"]),
        gate(IfSteps=[register(name), create_model(), deploy(function_arn), report()], ElseSteps=[]),
    )
    arn = start(sagemaker, name)
    return Ended(arn, *follow(sagemaker, arn))


def register(group: str) -> dict[str, Any]:
    """The trained model, to a package group."""
    formats = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    return {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": group,
            "InferenceSpecification": {"Containers": [CONTAINER], **formats},
            "ModelApprovalStatus": "Approved",
        },
    }


def create_model() -> dict[str, Any]:
    """The trained model."""
    return {
        "Name": "CreateModel",
        "Type": "Model",
        "Arguments": {"ExecutionRoleArn": ROLE, "PrimaryContainer": CONTAINER},
        "DependsOn": ["Register"],
    }


def deploy(function_arn: str) -> dict[str, Any]:
    """A function that gets the package and the model, and returns `RETURN_OUTPUTS`."""
    return {
        "Name": "Deploy",
        "Type": "Lambda",
        "FunctionArn": function_arn,
        "Arguments": {
            "package": get("Steps.Register.ModelPackageArn"),
            "model": get("Steps.CreateModel.ModelName"),
        },
        "OutputParameters": [
            {"OutputName": "status", "OutputType": "String"},
            {"OutputName": "n", "OutputType": "Integer"},
        ],
    }


def report() -> dict[str, Any]:
    """A failure whose message is what the function and the gate gave."""
    values = [get("Steps.Deploy.OutputParameters['n']"), get("Steps.Gate.Outcome")]
    message = {"Std:Join": {"On": ", ", "Values": values}}
    return {"Name": "Last", "Type": "Fail", "Arguments": {"ErrorMessage": message}, "DependsOn": ["Deploy"]}


def test_every_step_gets_what_the_ones_before_it_made(sagemaker: Any, ended: Ended) -> None:
    steps = ended.steps
    job_name = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    artifact = sagemaker.describe_training_job(TrainingJobName=job_name)["ModelArtifacts"]["S3ModelArtifacts"]
    package_arn = steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    package = sagemaker.describe_model_package(ModelPackageName=package_arn)
    assert package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == artifact
    assert steps["Deploy"]["Metadata"]["Lambda"]["OutputParameters"] == [
        {"Name": "status", "Value": f"seen {package_arn}"},
        {"Name": "n", "Value": "2"},
    ]
    assert steps["Last"]["FailureReason"] == "2, true"


def test_what_a_step_made_carries_the_execution_that_made_it(sagemaker: Any, ended: Ended) -> None:
    steps = ended.steps
    job_name = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    assert job_name.startswith(f"pipelines-{ended.arn.rpartition('/')[2]}-Train-")
    package_arn = steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    package = sagemaker.describe_model_package(ModelPackageName=package_arn)
    assert package["MetadataProperties"]["GeneratedBy"] == ended.arn
    assert steps["Gate"]["Metadata"] == {"Condition": {"Outcome": "True"}}


def test_steps_run_in_order_and_a_failed_one_fails_the_execution(ended: Ended) -> None:
    execution, steps = ended.execution, ended.steps
    assert {key: step["StepStatus"] for key, step in steps.items()} == {
        **dict.fromkeys(("Train", "Evaluate", "Gate", "Register", "CreateModel", "Deploy"), "Succeeded"),
        "Last": "Failed",
    }
    assert all(step["EndTime"] >= step["StartTime"] for step in steps.values())
    order = ["Train", "Evaluate", "Gate", "Register", "CreateModel", "Deploy", "Last"]
    assert list(reversed(steps)) == order  # newest first
    assert (execution["PipelineExecutionStatus"], execution["FailureReason"]) == (
        "Failed",
        "Step failure: One or multiple steps failed.",
    )


def test_the_bus_is_told_of_every_turn_of_a_step(sagemaker: Any, name: str, events: list[Any]) -> None:
    create(sagemaker, name, training_step("Train", "pass"))
    _, steps = follow(sagemaker, start(sagemaker, name))
    told = [detail for kind, detail, _ in events if kind.endswith("Pipeline Execution Step Status Change")]
    trained = [detail["currentStepStatus"] for detail in told if detail["stepName"] == "Train"]
    assert trained == ["Starting", "Executing", "Succeeded"]
    training_arn = {"trainingJob": {"arn": steps["Train"]["Metadata"]["TrainingJob"]["Arn"]}}
    assert (
        next(d for d in told if d["stepName"] == "Train" and "stepEndTime" in d)["metadata"] == training_arn
    )


def test_a_lost_gate_takes_the_other_branch(sagemaker: Any, name: str, events: list[Any]) -> None:
    rejected = {"Name": "Rejected", "Type": "Fail", "Arguments": {"ErrorMessage": "below the floor"}}
    create(
        sagemaker,
        name,
        processing_step("Evaluate", EVALUATE % 0.49),
        gate(IfSteps=[training_step("Never", "pass")], ElseSteps=[rejected]),
        training_step("NeverEither", "pass", DependsOn=["Never"]),
    )
    arn = start(sagemaker, name)
    execution, steps = follow(sagemaker, arn)
    assert set(steps) == {"Evaluate", "Gate", "Rejected"}
    assert steps["Gate"]["Metadata"]["Condition"]["Outcome"] == "False"
    assert steps["Rejected"]["StepStatus"] == "Failed"
    assert steps["Rejected"]["FailureReason"] == "below the floor"
    assert steps["Rejected"]["Metadata"]["Fail"]["ErrorMessage"] == "below the floor"
    assert execution["PipelineExecutionStatus"] == "Failed"
    kind = "SageMaker Model Building Pipeline Execution Status Change"
    told = [
        (detail.get("previousPipelineExecutionStatus"), detail["currentPipelineExecutionStatus"])
        for found, detail, arns in events
        if found == kind and arn in arns
    ]
    assert told == [(None, "Executing"), ("Executing", "Failed")]
