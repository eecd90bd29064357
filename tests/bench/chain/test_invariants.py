"""Each invariant names what does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bench.chain.invariants import INVARIANTS, After
from bench.chain.kinds import KINDS, Injected
from bench.chain.short_stage import ApiClient

RUN = "20300102T000000Z"
START = datetime(2030, 1, 2, tzinfo=UTC)


class Stage:
    """State of a stage in which all invariants hold, except for what a test changes."""

    def __init__(self, *, served: str = "config-2") -> None:
        self._served = served

    def endpoint(self) -> dict[str, Any]:
        return {"EndpointStatus": "InService", "EndpointConfigName": self._served}

    def end_of(self, execution: Mapping[str, Any]) -> datetime:
        return execution["StartTime"] + timedelta(seconds=10)


def package(version: int, run_id: str, deployment: str = "Deployed") -> dict[str, Any]:
    metadata = {"run_id": run_id, "deployment": deployment, "endpoint_config": f"config-{version}"}
    return {
        "ModelPackageVersion": version,
        "ModelApprovalStatus": "Approved",
        "CustomerMetadataProperties": metadata,
    }


def execution(run_id: str, seconds: int, status: str = "Succeeded") -> dict[str, Any]:
    return {
        "PipelineExecutionDisplayName": f"run-{run_id}",
        "PipelineExecutionStatus": status,
        "StartTime": START + timedelta(seconds=seconds),
    }


def found(name: str, stage: Stage | None = None, **changes: Any) -> list[str]:
    values = {
        "stage": stage or Stage(),
        "injected": Injected((RUN,)),
        "client": ApiClient(""),
        "packages": [package(2, RUN), package(1, "20300101T000000Z")],
        "executions": [execution(RUN, 0)],
        "notifications": [],
        "undelivered": [],
    }
    return list(INVARIANTS[name](After(**{**values, **changes})))


def test_faults_of_the_issue_are_injected() -> None:
    assert len(KINDS) == 16  # 15 faults, and the baseline


@pytest.mark.parametrize("name", ["one execution per run", "champion is the best adopted"])
def test_invariant_holds_after_a_run_without_a_fault(name: str) -> None:
    assert found(name) == []


@pytest.mark.parametrize(
    ("executions", "message"),
    [
        ([execution(RUN, 0), execution(RUN, 20)], "2 executions that succeeded"),
        ([execution(RUN, 0, "Failed"), execution(RUN, 5)], "while another one was in progress"),
        ([execution(RUN, 0), execution("20300109T000000Z", 0)], "none of the injection's runs"),
    ],
)
def test_second_execution_of_a_run_is_found(executions: list[dict[str, Any]], message: str) -> None:
    (line,) = found("one execution per run", executions=executions)
    assert message in line


def test_execution_after_a_failed_one_is_no_second_execution() -> None:
    executions = [execution(RUN, 0, "Failed"), execution(RUN, 20)]
    assert found("one execution per run", executions=executions) == []


def test_two_packages_of_a_run_are_found() -> None:
    assert found("one execution per run", packages=[package(2, RUN), package(1, RUN)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage": Stage(served="config-1")}, "but the champion is version 2"),
        ({"packages": [package(2, RUN, "Requested")]}, "deployment is 'Requested'"),
        ({"packages": [package(2, RUN, "RolledBack")]}, "there is no champion"),
        ({"packages": [package(2, "20300101T000000Z")]}, "has the newest package"),
        ({"injected": Injected((RUN,), is_served=False, detail="worse")}, "worse model"),
    ],
)
def test_endpoint_that_does_not_serve_the_champion_is_found(changes: dict[str, Any], message: str) -> None:
    (line,) = found("champion is the best adopted", **changes)
    assert message in line


def test_event_without_an_outcome_is_found() -> None:
    assert found("no event without an outcome", undelivered=["c"]) == ["c has no outcome"]


def test_request_without_a_list_is_found() -> None:
    assert found("API answered throughout", client=ApiClient("", failures=["502: x"]))
