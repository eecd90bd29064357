"""Pipeline definitions for tests, and functions that run them."""

from __future__ import annotations

import json
import socket
from typing import Any

from tests.emulator.services.sagemaker.support import (
    BUCKET,
    ROLE,
    WAIT_S,
    python_entrypoint,
    training_job,
)
from tests.polling import eventually

GATE_FLOOR = 0.5
EVALUATE = "open('/opt/ml/processing/report/report.json', 'w').write('{\"model\": {\"score\": %s}}')"


def get(path: str) -> dict[str, str]:
    """Expression that refers to a parameter, variable or property."""
    return {"Get": path}


def training_step(name: str, script: str, **changes: Any) -> dict[str, Any]:
    """Training step that runs a Python script."""
    arguments = training_job("", script)
    del arguments["TrainingJobName"]
    return {
        "Name": name,
        "Type": "Training",
        "Arguments": {**arguments, **changes.pop("Arguments", {})},
        **changes,
    }


def processing_step(name: str, script: str, **changes: Any) -> dict[str, Any]:
    """Processing step with the output "report", whose file report.json is the property file "Report"."""
    output = {
        "S3Uri": get("Parameters.Out"),
        "LocalPath": "/opt/ml/processing/report",
        "S3UploadMode": "EndOfJob",
    }
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    arguments = {
        "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": python_entrypoint(script)},
        "ProcessingResources": {"ClusterConfig": cluster},
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": output}]},
        "RoleArn": ROLE,
    }
    file = {"PropertyFileName": "Report", "OutputName": "report", "FilePath": "report.json"}
    return {"Name": name, "Type": "Processing", "Arguments": arguments, "PropertyFiles": [file], **changes}


def gate(**branches: Any) -> dict[str, Any]:
    """Condition step that compares the report's score with `GATE_FLOOR`."""
    score = {
        "Std:JsonGet": {"PropertyFile": get("Steps.Evaluate.PropertyFiles.Report"), "Path": "model.score"}
    }
    condition = {"Type": "GreaterThanOrEqualTo", "LeftValue": score, "RightValue": GATE_FLOOR}
    return {"Name": "Gate", "Type": "Condition", "Arguments": {"Conditions": [condition], **branches}}


def create(sagemaker: Any, name: str, *steps: dict[str, Any], parameters: list[Any] | None = None) -> None:
    """Create a pipeline of these steps, with the parameter Out (an S3 URI)."""
    out = {"Name": "Out", "Type": "String", "DefaultValue": f"s3://{BUCKET}/{name}"}
    definition = {"Version": "2020-12-01", "Parameters": [out, *(parameters or [])], "Steps": steps}
    sagemaker.create_pipeline(PipelineName=name, RoleArn=ROLE, PipelineDefinition=json.dumps(definition))


def start(sagemaker: Any, name: str, **parameters: str) -> str:
    """Start an execution and return its ARN."""
    given = [{"Name": key, "Value": value} for key, value in parameters.items()]
    return sagemaker.start_pipeline_execution(PipelineName=name, PipelineParameters=given)[
        "PipelineExecutionArn"
    ]


def follow(sagemaker: Any, arn: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Wait for the end of an execution; returns its description, and its steps by name."""

    def look() -> dict[str, Any] | None:
        found = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return None if found["PipelineExecutionStatus"] in ("Executing", "Stopping") else found

    execution = eventually(look, WAIT_S, f"execution {arn} ends")
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return execution, {step["StepName"]: step for step in steps}


def free_port() -> int:
    """Free port of 127.0.0.1, for jobs that wait for each other: only their file systems are private."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
