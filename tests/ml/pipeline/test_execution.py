"""An execution is started once a run, and followed until it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ml.pipeline.environment import Run, Stage
from ml.pipeline.execution import (
    ExecutionTimeoutError,
    find_execution,
    follow,
    start_execution,
    upsert_pipeline,
)
from tests.ml.pipeline.fake_pipelines import FakePipelines, step

OTHER = Run(run_id="20261124T020000Z", code_version="v")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakePipelines:
    monkeypatch.setattr("ml.pipeline.execution.time.sleep", lambda _seconds: None)
    return FakePipelines()


def test_an_upsert_creates_first_and_updates_then(fake: FakePipelines, stage: Stage) -> None:
    upsert_pipeline(fake, stage, {"Steps": []})
    assert fake.pipelines["ncf-dev"]["RoleArn"] == stage.pipeline_role_arn
    assert {"Key": "Owner", "Value": "recommendation"} in fake.pipelines["ncf-dev"]["Tags"]
    upsert_pipeline(fake, stage, {"Steps": [1]})
    assert json.loads(fake.pipelines["ncf-dev"]["PipelineDefinition"]) == {"Steps": [1]}


def test_a_definition_that_is_refused_is_an_error(
    fake: FakePipelines, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_request: Any) -> None:
        raise ClientError({"Error": {"Code": "ValidationException", "Message": "bad step"}}, "CreatePipeline")

    monkeypatch.setattr(fake, "create_pipeline", refuse)
    with pytest.raises(ClientError, match="bad step"):
        upsert_pipeline(fake, stage, {})


def test_a_run_is_started_once_and_another_run_beside_it(fake: FakePipelines, stage: Stage, run: Run) -> None:
    first = start_execution(fake, stage, run)
    assert start_execution(fake, stage, run) == first
    assert start_execution(fake, stage, OTHER) != first
    assert {len(each["ClientRequestToken"]) for each in fake.executions} == {64}  # the API asks for 32 to 128


def test_an_execution_gets_all_that_is_of_its_run(fake: FakePipelines, stage: Stage, run: Run) -> None:
    start_execution(fake, stage, run)
    assert {each["Name"]: each["Value"] for each in fake.executions[0]["PipelineParameters"]} == {
        "RunId": "20261123T020000Z",
        "CodeVersion": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
        "DataUri": "s3://ncf-data-3f1c9a7/prepared/run=20261123T020000Z",
        "SourceUri": "s3://ncf-artifacts-77ab01c/models/20261123T020000Z/source",
        "OutputUri": "s3://ncf-artifacts-77ab01c/models/20261123T020000Z",
    }


def test_the_execution_of_a_run_is_found_by_the_run_and_no_other(
    fake: FakePipelines, stage: Stage, run: Run
) -> None:
    assert find_execution(fake, stage, run) is None  # there is no pipeline yet
    upsert_pipeline(fake, stage, {})
    start_execution(fake, stage, OTHER)
    assert find_execution(fake, stage, run) is None
    arn = start_execution(fake, stage, run)
    assert find_execution(fake, stage, run) == arn


def test_each_change_of_a_step_is_told_once(fake: FakePipelines) -> None:
    fake.looks = [
        ("Executing", []),
        ("Executing", [step("A", "Executing")]),
        ("Executing", [step("A", "Executing")]),
        ("Executing", [step("A", "Succeeded"), step("B", "Starting")]),
        ("Succeeded", [step("A", "Succeeded"), step("B", "Succeeded")]),
    ]
    told: list[tuple[str, str]] = []
    ended = follow(
        fake, "arn", on_change=lambda each: told.append((each["StepName"], each["StepStatus"])), timeout_s=60
    )
    assert told == [
        ("A", "Executing"),
        ("A", "Succeeded"),
        ("B", "Starting"),
        ("B", "Succeeded"),
    ]
    assert ended.status == "Succeeded"
    assert ended.failed_step is None


def test_the_step_that_failed_first_is_the_one_to_blame(fake: FakePipelines) -> None:
    fake.looks = [("Failed", [step("B", "Failed", minute=9), step("A", "Failed", minute=2)])]
    failed = follow(fake, "arn", on_change=lambda _step: None, timeout_s=60).failed_step
    assert failed is not None
    assert failed["StepName"] == "A"


def test_following_ends_when_the_time_is_up(fake: FakePipelines) -> None:
    fake.looks = [("Executing", [])]
    with pytest.raises(
        ExecutionTimeoutError, match=r"^arn: still Executing after 0 s; it goes on by itself$"
    ):
        follow(fake, "arn", on_change=lambda _step: None, timeout_s=0)
