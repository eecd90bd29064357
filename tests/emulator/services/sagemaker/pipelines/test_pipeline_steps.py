"""Steps of a pipeline: properties, order, branches and events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from emulator.app import Emulator
from tests.emulator.services.sagemaker.conftest import Event
from tests.emulator.services.sagemaker.pipelines.support import (
    EVALUATE,
    create,
    follow,
    gate,
    get,
    processing_step,
    start,
    training_step,
)
from tests.emulator.services.sagemaker.support import ROLE, WAIT_S
from tests.emulator.support import make_function
from tests.polling import eventually

RETURN_OUTPUTS = """
def handler(event, context):
    return {'status': 'deployed ' + event['package'], 'n': 2}
"""
CONTAINER = {"Image": "image", "ModelDataUrl": get("Steps.Train.ModelArtifacts.S3ModelArtifacts")}


@dataclass(frozen=True)
class EndedExecution:
    """Description of an execution after its end, and its steps by name, newest first."""

    arn: str
    execution: dict[str, Any]
    steps: dict[str, Any]


@pytest.fixture(scope="module")
def ended(emulator: Emulator, sagemaker: Any) -> EndedExecution:
    """Execution with a step of every type; steps use the results of earlier steps, the last one fails."""
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
    return EndedExecution(arn, *follow(sagemaker, arn))


def register(group: str) -> dict[str, Any]:
    """Step that registers the trained model in a group."""
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
    """Step that creates a model from the training job's artifact."""
    return {
        "Name": "CreateModel",
        "Type": "Model",
        "Arguments": {"ExecutionRoleArn": ROLE, "PrimaryContainer": CONTAINER},
        "DependsOn": ["Register"],
    }


def deploy(function_arn: str) -> dict[str, Any]:
    """Step that passes package and model to a function, which returns its outputs."""
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
    """Fail step whose message contains outputs of the function and of the gate."""
    values = [get("Steps.Deploy.OutputParameters['n']"), get("Steps.Gate.Outcome")]
    message = {"Std:Join": {"On": ", ", "Values": values}}
    return {"Name": "Last", "Type": "Fail", "Arguments": {"ErrorMessage": message}, "DependsOn": ["Deploy"]}


def test_steps_use_the_properties_of_earlier_steps(sagemaker: Any, ended: EndedExecution) -> None:
    steps = ended.steps
    job_name = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    artifact = sagemaker.describe_training_job(TrainingJobName=job_name)["ModelArtifacts"]["S3ModelArtifacts"]
    package_arn = steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    package = sagemaker.describe_model_package(ModelPackageName=package_arn)
    assert package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == artifact
    assert steps["Deploy"]["Metadata"]["Lambda"]["OutputParameters"] == [
        {"Name": "status", "Value": f"deployed {package_arn}"},
        {"Name": "n", "Value": "2"},
    ]
    assert steps["Last"]["FailureReason"] == "2, true"


def test_resources_of_a_step_name_the_execution(sagemaker: Any, ended: EndedExecution) -> None:
    steps = ended.steps
    job_name = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    assert job_name.startswith(f"pipelines-{ended.arn.rpartition('/')[2]}-Train-")
    package_arn = steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    package = sagemaker.describe_model_package(ModelPackageName=package_arn)
    assert package["MetadataProperties"]["GeneratedBy"] == ended.arn
    assert steps["Gate"]["Metadata"] == {"Condition": {"Outcome": "True"}}


def test_steps_run_in_dependency_order_and_a_failed_step_fails_the_execution(ended: EndedExecution) -> None:
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


def test_every_status_of_a_step_is_published(sagemaker: Any, name: str, events: list[Event]) -> None:
    create(sagemaker, name, training_step("Train", "pass"))
    arn = start(sagemaker, name)
    _, steps = follow(sagemaker, arn)
    kind = "SageMaker Model Building Pipeline Execution Step Status Change"
    published = [event.detail for event in events if event.detail_type == kind and arn in event.resources]
    assert [detail["currentStepStatus"] for detail in published] == ["Starting", "Executing", "Succeeded"]
    metadata = {"trainingJob": {"arn": steps["Train"]["Metadata"]["TrainingJob"]["Arn"]}}
    assert next(detail for detail in published if "stepEndTime" in detail)["metadata"] == metadata


def test_false_condition_runs_the_else_branch(sagemaker: Any, name: str, events: list[Event]) -> None:
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

    def transitions() -> list[tuple[str | None, str]]:
        return [
            (detail.get("previousPipelineExecutionStatus"), detail["currentPipelineExecutionStatus"])
            for kind, detail, arns in events
            if kind == "SageMaker Model Building Pipeline Execution Status Change" and arn in arns
        ]

    eventually(lambda: len(transitions()) == 2, WAIT_S, "both events are published")
    assert transitions() == [(None, "Executing"), ("Executing", "Failed")]
