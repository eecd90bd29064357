"""Pipeline executions: which steps run, what they give each other, and how an execution ends."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud.plane import ServiceError
from local.cloud.sagemaker import SageMakerPlane
from local.cloud.server import Cloud
from tests.local.cloud.sagemaker.conftest import BUCKET, ROLE, training_job, wait_until

Put = Callable[[str, str | bytes], str]
GATE_FLOOR = 0.5


def get(path: str) -> dict[str, str]:
    """A reference."""
    return {"Get": path}


def training_step(name: str, script: str, **changes: Any) -> dict[str, Any]:
    """A Training step that runs a Python script."""
    arguments = training_job("", script)
    del arguments["TrainingJobName"]
    return {
        "Name": name,
        "Type": "Training",
        "Arguments": {**arguments, **changes.pop("Arguments", {})},
        **changes,
    }


def processing_step(name: str, script: str, **changes: Any) -> dict[str, Any]:
    """A Processing step whose output "report" holds report.json, its property file "Report"."""
    output = {
        "S3Uri": get("Parameters.Out"),
        "LocalPath": "/opt/ml/processing/report",
        "S3UploadMode": "EndOfJob",
    }
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    arguments = {
        "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": ["python3", "-c", script]},
        "ProcessingResources": {"ClusterConfig": cluster},
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": output}]},
        "RoleArn": ROLE,
    }
    file = {"PropertyFileName": "Report", "OutputName": "report", "FilePath": "report.json"}
    return {"Name": name, "Type": "Processing", "Arguments": arguments, "PropertyFiles": [file], **changes}


def create(sagemaker: Any, name: str, *steps: dict[str, Any], parameters: list[Any] | None = None) -> None:
    """A pipeline of these steps, with the parameter Out."""
    out = {"Name": "Out", "Type": "String", "DefaultValue": f"s3://{BUCKET}/{name}"}
    definition = {"Version": "2020-12-01", "Parameters": [out, *(parameters or [])], "Steps": steps}
    sagemaker.create_pipeline(PipelineName=name, RoleArn=ROLE, PipelineDefinition=json.dumps(definition))


def start(sagemaker: Any, name: str, **parameters: str) -> str:
    """The ARN of a new execution."""
    given = [{"Name": key, "Value": value} for key, value in parameters.items()]
    return sagemaker.start_pipeline_execution(PipelineName=name, PipelineParameters=given)[
        "PipelineExecutionArn"
    ]


def follow(sagemaker: Any, arn: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """An execution that has ended, and its steps by name."""

    def ended() -> dict[str, Any] | None:
        found = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return None if found["PipelineExecutionStatus"] in ("Executing", "Stopping") else found

    execution = wait_until(ended)
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return execution, {step["StepName"]: step for step in steps}


def deploy_function(cloud: Cloud, name: str, code: str) -> str:
    """The ARN of a Lambda function."""
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("handler.py", code)
    function = cloud.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=role,
        Handler="handler.handler",
        Code={"ZipFile": archive.getvalue()},
        Timeout=20,
    )
    return str(function["FunctionArn"])


def gate(**branches: Any) -> dict[str, Any]:
    """A Condition step on the report's score."""
    score = {
        "Std:JsonGet": {"PropertyFile": get("Steps.Evaluate.PropertyFiles.Report"), "Path": "model.score"}
    }
    condition = {"Type": "GreaterThanOrEqualTo", "LeftValue": score, "RightValue": GATE_FLOOR}
    return {"Name": "Gate", "Type": "Condition", "Arguments": {"Conditions": [condition], **branches}}


EVALUATE = "open('/opt/ml/processing/report/report.json', 'w').write('{\"model\": {\"score\": %s}}')"
RETURN_OUTPUTS = "def handler(event, context):\n    return {'status': 'seen ' + event['package'], 'n': 2}\n"


def test_every_step_gets_what_the_ones_before_it_made(
    cloud: Cloud, sagemaker: Any, name: str, events: list[Any]
) -> None:
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    container = {"Image": "image", "ModelDataUrl": get("Steps.Train.ModelArtifacts.S3ModelArtifacts")}
    formats = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": name,
            "InferenceSpecification": {"Containers": [container], **formats},
            "ModelApprovalStatus": "Approved",
        },
    }
    model = {
        "Name": "CreateModel",
        "Type": "Model",
        "Arguments": {"ExecutionRoleArn": ROLE, "PrimaryContainer": container},
        "DependsOn": ["Register"],
    }
    deploy = {
        "Name": "Deploy",
        "Type": "Lambda",
        "FunctionArn": deploy_function(cloud, name, RETURN_OUTPUTS),
        "Arguments": {
            "package": get("Steps.Register.ModelPackageArn"),
            "model": get("Steps.CreateModel.ModelName"),
        },
        "OutputParameters": [
            {"OutputName": "status", "OutputType": "String"},
            {"OutputName": "n", "OutputType": "Integer"},
        ],
    }
    report = {
        "Std:Join": {
            "On": ", ",
            "Values": [get("Steps.Deploy.OutputParameters['n']"), get("Steps.Gate.Outcome")],
        }
    }
    last = {"Name": "Last", "Type": "Fail", "Arguments": {"ErrorMessage": report}, "DependsOn": ["Deploy"]}
    create(
        sagemaker,
        name,
        training_step("Train", "pass"),
        processing_step("Evaluate", EVALUATE % 0.5, DependsOn=["Train"]),
        gate(IfSteps=[register, model, deploy, last], ElseSteps=[]),
    )
    arn = start(sagemaker, name)
    execution, steps = follow(sagemaker, arn)

    assert {key: step["StepStatus"] for key, step in steps.items()} == {
        **dict.fromkeys(("Train", "Evaluate", "Gate", "Register", "CreateModel", "Deploy"), "Succeeded"),
        "Last": "Failed",
    }
    assert steps["Last"]["FailureReason"] == "2, true"
    assert steps["Gate"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    job_name = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    assert job_name.startswith(f"pipelines-{arn.rpartition('/')[2]}-Train-")
    package_arn = steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    package = sagemaker.describe_model_package(ModelPackageName=package_arn)
    assert package["MetadataProperties"]["GeneratedBy"] == arn
    artifact = sagemaker.describe_training_job(TrainingJobName=job_name)["ModelArtifacts"]["S3ModelArtifacts"]
    assert package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == artifact
    assert steps["Deploy"]["Metadata"]["Lambda"]["OutputParameters"] == [
        {"Name": "status", "Value": f"seen {package_arn}"},
        {"Name": "n", "Value": "2"},
    ]
    assert all(step["EndTime"] >= step["StartTime"] for step in steps.values())
    order = ["Train", "Evaluate", "Gate", "Register", "CreateModel", "Deploy", "Last"]
    assert list(reversed(steps)) == order  # newest first
    assert (execution["PipelineExecutionStatus"], execution["FailureReason"]) == (
        "Failed",
        "Step failure: One or multiple steps failed.",
    )
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

    wait_until(failed)
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
    cloud: Cloud, sagemaker: Any, name: str, code: str, reason: str
) -> None:
    function = f"f{abs(hash(name))}"
    step = {
        "Name": "Deploy",
        "Type": "Lambda",
        "FunctionArn": deploy_function(cloud, function, code),
        "Arguments": {},
        "OutputParameters": [{"OutputName": "status", "OutputType": "String"}],
    }
    pipeline = function
    create(sagemaker, pipeline, step)
    _, steps = follow(sagemaker, start(sagemaker, pipeline))
    assert reason in steps["Deploy"]["FailureReason"]


def test_a_call_over_a_limit_is_retried_as_the_policy_says(
    cloud: Cloud, sagemaker: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = cloud.plane(SageMakerPlane)._region(cloud.region).training
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


def test_the_same_token_gives_the_same_execution(sagemaker: Any, name: str) -> None:
    create(sagemaker, name, {"Name": "F", "Type": "Fail", "Arguments": {"ErrorMessage": "x"}})
    token = "run-20261123T020000Z-0123456789ab"
    arns = {
        sagemaker.start_pipeline_execution(PipelineName=name, ClientRequestToken=token)[
            "PipelineExecutionArn"
        ]
        for _ in range(3)
    }
    assert len(arns) == 1
    other = start(sagemaker, name)
    assert other not in arns
    listed = sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]
    assert [item["PipelineExecutionArn"] for item in listed] == [other, *arns]


def test_two_executions_run_side_by_side(sagemaker: Any, name: str, tmp_path: Path) -> None:
    script = """
import os, pathlib, time
pathlib.Path(os.environ["HERE"]).touch()
deadline = time.time() + 20
while not pathlib.Path(os.environ["THERE"]).exists():
    assert time.time() < deadline, "the other one did not start"
    time.sleep(0.02)
"""
    environment = {"HERE": get("Parameters.Here"), "THERE": get("Parameters.There")}
    parameters = [{"Name": "Here", "Type": "String"}, {"Name": "There", "Type": "String"}]
    step = training_step("Train", script, Arguments={"Environment": environment})
    create(sagemaker, name, step, parameters=parameters)
    arns = [
        start(sagemaker, name, Here=f"{tmp_path}/a", There=f"{tmp_path}/b"),
        start(sagemaker, name, Here=f"{tmp_path}/b", There=f"{tmp_path}/a"),
    ]
    assert [follow(sagemaker, arn)[0]["PipelineExecutionStatus"] for arn in arns] == ["Succeeded"] * 2


def test_a_stopped_execution_stops_its_job_and_starts_no_further_step(sagemaker: Any, name: str) -> None:
    create(
        sagemaker,
        name,
        training_step("Train", "import time; time.sleep(60)"),
        training_step("Next", "pass", DependsOn=["Train"]),
    )
    arn = start(sagemaker, name)
    wait_until(
        lambda: (
            "TrainingJob"
            in sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"][0][
                "Metadata"
            ]
        )
    )
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="x" * 32)
    execution, steps = follow(sagemaker, arn)
    assert execution["PipelineExecutionStatus"] == "Stopped"
    assert {key: step["StepStatus"] for key, step in steps.items()} == {"Train": "Stopped"}
    with pytest.raises(ClientError, match="not in a stoppable state"):
        sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="x" * 32)


def test_an_execution_keeps_the_definition_that_it_was_started_with(sagemaker: Any, name: str) -> None:
    create(sagemaker, name, {"Name": "Old", "Type": "Fail", "Arguments": {"ErrorMessage": "x"}})
    first = start(sagemaker, name)
    before = sagemaker.describe_pipeline(PipelineName=name)
    changed = json.dumps(
        {
            "Version": "2020-12-01",
            "Steps": [{"Name": "New", "Type": "Fail", "Arguments": {"ErrorMessage": "y"}}],
        }
    )
    sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=changed)
    after = sagemaker.describe_pipeline(PipelineName=name)
    assert (after["PipelineDefinition"], after["RoleArn"]) == (changed, before["RoleArn"])
    assert after["LastModifiedTime"] > before["LastModifiedTime"]
    second = start(sagemaker, name)
    assert list(follow(sagemaker, first)[1]) == ["Old"]
    assert list(follow(sagemaker, second)[1]) == ["New"]
    used = sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=first)
    assert used["PipelineDefinition"] == before["PipelineDefinition"]


def test_a_definition_may_lie_in_s3(sagemaker: Any, put: Put, name: str) -> None:
    text = json.dumps({"Version": "2020-12-01", "Steps": [{"Name": "F", "Type": "Fail", "Arguments": {}}]})
    put(f"{name}/definition.json", text)
    location = {"Bucket": BUCKET, "ObjectKey": f"{name}/definition.json"}
    sagemaker.create_pipeline(PipelineName=name, RoleArn=ROLE, PipelineDefinitionS3Location=location)
    assert sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"] == text
    assert "FailureReason" not in follow(sagemaker, start(sagemaker, name))[1]["F"]


def test_a_definition_that_can_t_be_run_is_refused_before_it_is_kept(sagemaker: Any, name: str) -> None:
    with pytest.raises(ClientError, match="step T: the step type 'Tuning' is not emulated") as refused:
        create(sagemaker, name, {"Name": "T", "Type": "Tuning", "Arguments": {}})
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError) as unknown:
        sagemaker.describe_pipeline(PipelineName=name)
    assert unknown.value.response["Error"]["Code"] == "ResourceNotFound"


def test_an_unknown_parameter_starts_nothing(sagemaker: Any, name: str) -> None:
    create(sagemaker, name, {"Name": "F", "Type": "Fail", "Arguments": {}})
    with pytest.raises(ClientError, match="unknown parameter Epochs"):
        start(sagemaker, name, Epochs="3")
    assert sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"] == []


def test_lists_come_in_pages(sagemaker: Any, name: str) -> None:
    create(sagemaker, name, {"Name": "F", "Type": "Fail", "Arguments": {}})
    arns = []
    for _ in range(3):
        arns.append(start(sagemaker, name))
        time.sleep(0.002)
    first = sagemaker.list_pipeline_executions(PipelineName=name, MaxResults=2, SortOrder="Ascending")
    rest = sagemaker.list_pipeline_executions(
        PipelineName=name, MaxResults=2, SortOrder="Ascending", NextToken=first["NextToken"]
    )
    found = first["PipelineExecutionSummaries"] + rest["PipelineExecutionSummaries"]
    assert [item["PipelineExecutionArn"] for item in found] == arns
    assert "NextToken" not in rest
