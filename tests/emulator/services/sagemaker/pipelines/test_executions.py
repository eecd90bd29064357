"""Pipelines and executions: create, update, start, stop and list."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.services.sagemaker.pipelines.support import (
    create,
    follow,
    free_port,
    get,
    start,
    training_step,
)
from tests.emulator.services.sagemaker.support import BUCKET, ROLE, WAIT_S, Put
from tests.polling import eventually


def test_definition_is_read_from_s3(sagemaker: Any, put: Put, name: str) -> None:
    text = json.dumps({"Version": "2020-12-01", "Steps": [{"Name": "F", "Type": "Fail", "Arguments": {}}]})
    put(f"{name}/definition.json", text)
    location = {"Bucket": BUCKET, "ObjectKey": f"{name}/definition.json"}
    sagemaker.create_pipeline(PipelineName=name, RoleArn=ROLE, PipelineDefinitionS3Location=location)
    assert sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"] == text
    assert "FailureReason" not in follow(sagemaker, start(sagemaker, name))[1]["F"]


def test_unsupported_definition_creates_no_pipeline(sagemaker: Any, name: str) -> None:
    with pytest.raises(ClientError, match="step T: the step type 'Tuning' is not emulated") as refused:
        create(sagemaker, name, {"Name": "T", "Type": "Tuning", "Arguments": {}})
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError) as unknown:
        sagemaker.describe_pipeline(PipelineName=name)
    assert unknown.value.response["Error"]["Code"] == "ResourceNotFound"


def test_update_of_a_definition_does_not_change_running_executions(sagemaker: Any, name: str) -> None:
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


def test_unknown_parameter_starts_no_execution(sagemaker: Any, name: str) -> None:
    create(sagemaker, name, {"Name": "F", "Type": "Fail", "Arguments": {}})
    with pytest.raises(ClientError, match="unknown parameter Epochs"):
        start(sagemaker, name, Epochs="3")
    assert sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"] == []


def test_same_client_request_token_returns_the_same_execution(sagemaker: Any, name: str) -> None:
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


def test_two_executions_run_concurrently(sagemaker: Any, name: str) -> None:
    script = """
import os, socket, time
listener = socket.create_server(("127.0.0.1", int(os.environ["HERE"])))
deadline = time.time() + 20
while socket.socket().connect_ex(("127.0.0.1", int(os.environ["THERE"]))):
    assert time.time() < deadline, "the other execution did not start"
    time.sleep(0.02)
time.sleep(1)
"""
    environment = {"HERE": get("Parameters.Here"), "THERE": get("Parameters.There")}
    parameters = [{"Name": "Here", "Type": "String"}, {"Name": "There", "Type": "String"}]
    step = training_step("Train", script, Arguments={"Environment": environment})
    create(sagemaker, name, step, parameters=parameters)
    one, two = str(free_port()), str(free_port())
    arns = [start(sagemaker, name, Here=one, There=two), start(sagemaker, name, Here=two, There=one)]
    assert [follow(sagemaker, arn)[0]["PipelineExecutionStatus"] for arn in arns] == ["Succeeded"] * 2


def test_stopped_execution_stops_its_job_and_starts_no_further_step(sagemaker: Any, name: str) -> None:
    create(
        sagemaker,
        name,
        training_step("Train", "import time; time.sleep(60)"),
        training_step("Next", "pass", DependsOn=["Train"]),
    )
    arn = start(sagemaker, name)

    def job_created() -> bool:
        steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        return bool(steps) and "TrainingJob" in steps[0]["Metadata"]

    eventually(job_created, WAIT_S, "the step creates its training job")
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="x" * 32)
    execution, steps = follow(sagemaker, arn)
    assert execution["PipelineExecutionStatus"] == "Stopped"
    assert {key: step["StepStatus"] for key, step in steps.items()} == {"Train": "Stopped"}
    with pytest.raises(ClientError, match="not in a stoppable state"):
        sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="x" * 32)


def test_list_of_executions_is_paginated(sagemaker: Any, name: str) -> None:
    create(sagemaker, name, {"Name": "F", "Type": "Fail", "Arguments": {}})
    arns = []
    for _ in range(3):
        arns.append(start(sagemaker, name))
        time.sleep(0.002)  # creation times differ
    first = sagemaker.list_pipeline_executions(PipelineName=name, MaxResults=2, SortOrder="Ascending")
    rest = sagemaker.list_pipeline_executions(
        PipelineName=name, MaxResults=2, SortOrder="Ascending", NextToken=first["NextToken"]
    )
    found = first["PipelineExecutionSummaries"] + rest["PipelineExecutionSummaries"]
    assert [item["PipelineExecutionArn"] for item in found] == arns
    assert "NextToken" not in rest
