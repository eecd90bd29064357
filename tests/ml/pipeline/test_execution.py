"""An execution is started once per run, again after a failure, and polled until it ends."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from ml.pipeline.environment import PipelineStage, Run
from ml.pipeline.execution import (
    FIRST_POLL_S,
    LAST_POLL_S,
    ExecutionTimeoutError,
    RunExecutions,
    find_executions,
    start_execution,
    upsert_pipeline,
    watch_execution,
)
from tests.ml.pipeline.fake_pipelines import FakePipelines, step

OTHER = Run(run_id="20261124T020000Z", code_version="v")


@pytest.fixture
def fake() -> FakePipelines:
    return FakePipelines()


def test_upsert_creates_the_pipeline_then_updates_it(fake: FakePipelines, stage: PipelineStage) -> None:
    upsert_pipeline(fake, stage, {"Steps": []})
    assert fake.pipelines["ncf-dev"]["RoleArn"] == stage.pipeline_role_arn
    assert {"Key": "Owner", "Value": "recommendation"} in fake.pipelines["ncf-dev"]["Tags"]
    upsert_pipeline(fake, stage, {"Steps": [1]})
    assert json.loads(fake.pipelines["ncf-dev"]["PipelineDefinition"]) == {"Steps": [1]}


def test_refused_definition_is_an_error(fake: FakePipelines, stage: PipelineStage) -> None:
    fake.refusal = ("ValidationException", "bad step")
    with pytest.raises(ClientError, match="bad step"):
        upsert_pipeline(fake, stage, {})


def test_repeated_start_of_a_run_returns_its_execution(
    fake: FakePipelines, stage: PipelineStage, run: Run
) -> None:
    first = start_execution(fake, stage, run)
    assert start_execution(fake, stage, run) == first
    assert start_execution(fake, stage, OTHER) != first
    # StartPipelineExecution: ClientRequestToken has 32 to 128 characters.
    assert {len(each["ClientRequestToken"]) for each in fake.executions} == {64}


def test_execution_gets_the_parameters_of_its_run(
    fake: FakePipelines, stage: PipelineStage, run: Run
) -> None:
    start_execution(fake, stage, run)
    assert {each["Name"]: each["Value"] for each in fake.executions[0]["PipelineParameters"]} == {
        "RunId": "20261123T020000Z",
        "CodeVersion": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
        "DataUri": "s3://ncf-data-3f1c9a7/prepared/run=20261123T020000Z",
        "SourceUri": "s3://ncf-artifacts-77ab01c/models/20261123T020000Z/source/IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
        "OutputUri": "s3://ncf-artifacts-77ab01c/models/20261123T020000Z",
    }


def test_repeat_after_a_failure_starts_one_other_execution(
    fake: FakePipelines, stage: PipelineStage, run: Run
) -> None:
    first = start_execution(fake, stage, run)
    again = start_execution(fake, stage, run, n_failed=1)
    assert again != first
    assert start_execution(fake, stage, run, n_failed=1) == again  # another build of the same repeat
    assert len(fake.executions) == 2


def test_execution_is_found_by_its_run(fake: FakePipelines, stage: PipelineStage, run: Run) -> None:
    assert find_executions(fake, stage.pipeline_name, run.run_id) == RunExecutions()  # no pipeline yet
    upsert_pipeline(fake, stage, {})
    start_execution(fake, stage, OTHER)
    assert find_executions(fake, stage.pipeline_name, run.run_id) == RunExecutions()
    arn = start_execution(fake, stage, run)
    found = find_executions(fake, stage.pipeline_name, run.run_id)
    assert found == RunExecutions(newest_arn=arn, newest_status="Executing", n_failed=0)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["Executing"], (True, 0)),
        (["Succeeded"], (True, 0)),
        (["Failed"], (False, 1)),
        (["Stopped"], (False, 1)),
        (["Stopping"], (False, 0)),
        (["Failed", "Executing"], (True, 1)),
        (["Failed", "Stopped"], (False, 2)),
        (["Failed", "Succeeded"], (True, 1)),
    ],
)
def test_newest_execution_decides_whether_a_run_is_started_again(
    fake: FakePipelines, stage: PipelineStage, run: Run, statuses: list[str], expected: tuple[bool, int]
) -> None:
    upsert_pipeline(fake, stage, {})
    for number, status in enumerate(statuses):
        start_execution(fake, stage, run, n_failed=number)
        fake.executions[-1]["PipelineExecutionStatus"] = status
    found = find_executions(fake, stage.pipeline_name, run.run_id)
    newest = fake.executions[-1]["PipelineExecutionArn"]
    assert (found.newest_arn, found.newest_status) == (newest, statuses[-1])
    assert (found.current_arn == newest, found.n_failed) == expected


def test_each_status_of_a_step_is_reported_once(fake: FakePipelines) -> None:
    fake.polls = [
        ("Executing", []),
        ("Executing", [step("A", "Executing")]),
        ("Executing", [step("A", "Executing")]),
        ("Executing", [step("A", "Succeeded"), step("B", "Starting")]),
        ("Succeeded", [step("A", "Succeeded"), step("B", "Succeeded")]),
    ]
    pauses: list[float] = []
    states = list(watch_execution(fake, "arn", timeout_s=60, sleep=pauses.append))
    assert [[(each["StepName"], each["StepStatus"]) for each in state.changed] for state in states] == [
        [],
        [("A", "Executing")],
        [],
        [("A", "Succeeded"), ("B", "Starting")],
        [("B", "Succeeded")],
    ]
    assert [state.has_ended for state in states] == [False, False, False, False, True]
    assert states[-1].failed_step is None
    assert len(pauses) == 4


def test_poll_interval_grows_until_a_step_changes(fake: FakePipelines) -> None:
    unchanged = ("Executing", [step("A", "Executing")])
    fake.polls = [*[unchanged] * 9, ("Executing", [step("A", "Succeeded")]), ("Succeeded", [])]
    pauses: list[float] = []
    list(watch_execution(fake, "arn", timeout_s=600, sleep=pauses.append))
    assert pauses[0] == pauses[9] == FIRST_POLL_S
    assert pauses[:8] == sorted(pauses[:8])
    assert pauses[8] == LAST_POLL_S


def test_failed_step_is_the_one_that_failed_first(fake: FakePipelines) -> None:
    fake.polls = [("Failed", [step("B", "Failed", minute=9), step("A", "Failed", minute=2)])]
    (state,) = watch_execution(fake, "arn", timeout_s=60)
    assert state.failed_step is not None
    assert state.failed_step["StepName"] == "A"


def test_following_ends_at_the_time_limit(fake: FakePipelines) -> None:
    fake.polls = [("Executing", [])]
    with pytest.raises(ExecutionTimeoutError, match=r"^arn: still Executing after 0 s; it continues$"):
        list(watch_execution(fake, "arn", timeout_s=0))
