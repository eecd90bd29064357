"""`check_runs`: whether the run of the night is late, with any launcher."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from ml import contract
from tests.lambdas.functions import FakeContext, load

SEOUL = "Asia/Seoul"
ENVIRONMENT = {
    "DATA_BUCKET": "data",
    "PREPARED_PREFIX": contract.PREPARED_PREFIX,
    "PIPELINE_NAME": "ncf-dev",
    "PREPARED_BY_HOUR": "6",
    "TRAINED_BY_HOUR": "12",
    "DEADLINE_TIMEZONE": SEOUL,
    "STAGE_NAME": "dev",
    "METRICS_NAMESPACE": contract.METRICS_NAMESPACE,
}


@pytest.fixture
def logic(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load("check_runs", "logic", monkeypatch)


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="ap-northeast-2")
        location = {"LocationConstraint": "ap-northeast-2"}
        client.create_bucket(Bucket="data", CreateBucketConfiguration=location)
        yield client


@pytest.fixture
def handler(s3: Any, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load("check_runs", "handler", monkeypatch, ENVIRONMENT)


def at(text: str, logic: ModuleType) -> datetime:
    """A local time in Seoul."""
    return datetime.fromisoformat(text).replace(tzinfo=logic.ZoneInfo(SEOUL))


# The run of the night starts at 02:00 in Seoul, 17:00 UTC of the day before.
LAST_NIGHT, TONIGHT = "20261122T170000Z", "20261123T170000Z"


@pytest.mark.parametrize(
    ("now", "runs", "missed"),
    [
        ("2026-11-24T05:59", [LAST_NIGHT], False),  # before the deadline
        ("2026-11-24T06:00", [LAST_NIGHT], True),
        ("2026-11-24T06:00", [LAST_NIGHT, TONIGHT], False),
        ("2026-11-25T05:59", [TONIGHT], False),  # until the next deadline
        ("2026-11-25T06:00", [TONIGHT], True),
        ("2026-11-24T06:00", [], True),
        # Yesterday's run, repeated by a person in the afternoon under another id, is not tonight's.
        ("2026-11-24T06:00", ["20261123T050000Z"], True),
        # A run that is launched after the deadline ends the alarm.
        ("2026-11-24T09:00", ["20261123T233000Z"], False),
    ],
)
def test_run_counts_for_the_deadline_after_it(
    logic: ModuleType, now: str, runs: list[str], missed: bool
) -> None:
    deadline = logic.Deadline(6, logic.ZoneInfo(SEOUL))
    assert deadline.is_missed(runs, at(now, logic)) is missed


@given(
    hour=st.integers(0, 23),
    zone=st.sampled_from([SEOUL, "Europe/Berlin", "America/St_Johns"]),
    minutes=st.integers(0, 366 * 24 * 60),
)
def test_last_deadline_is_at_its_hour_within_a_day(hour: int, zone: str, minutes: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    with pytest.MonkeyPatch.context() as monkeypatch:
        logic = load("check_runs", "logic", monkeypatch)
    last = logic.Deadline(hour, logic.ZoneInfo(zone)).last_before(now)
    assert last.hour == hour
    assert timedelta(0) <= now - last.astimezone(UTC) <= timedelta(hours=25)  # 25: clocks are set back


def put_run(s3: Any, started: datetime, name: str) -> None:
    s3.put_object(Bucket="data", Key=contract.run_prefix(contract.run_id_of(started)) + name, Body=b"")


def test_incomplete_run_is_overdue_and_a_complete_one_is_not(
    handler: Any, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    put_run(s3, datetime.now(UTC), "train/part-00000.parquet")
    expected = {contract.PREPARATION_OVERDUE_METRIC: True, contract.TRAINING_OVERDUE_METRIC: True}
    assert handler.handler({}, FakeContext()) == expected  # a stage without a pipeline: no error
    put_run(s3, datetime.now(UTC), contract.SUCCESS_FILE)
    assert handler.handler({}, FakeContext()) == {**expected, contract.PREPARATION_OVERDUE_METRIC: False}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "CloudWatchMetrics" in line]
    (directive,) = lines[-1]["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == (contract.METRICS_NAMESPACE, [["Stage"]])
    assert lines[-1][contract.STAGE_DIMENSION] == "dev"
    assert lines[-1][contract.PREPARATION_OVERDUE_METRIC] == [0.0]


@pytest.mark.parametrize(("status", "overdue"), [("Succeeded", False), ("Executing", True), ("Failed", True)])
def test_execution_counts_when_it_has_succeeded(handler: Any, status: str, overdue: bool) -> None:
    pages = [
        {
            "PipelineExecutionSummaries": [
                {"PipelineExecutionDisplayName": "by hand", "PipelineExecutionStatus": "Succeeded"},
                {
                    "PipelineExecutionDisplayName": f"run-{contract.run_id_of(datetime.now(UTC))}",
                    "PipelineExecutionStatus": status,
                },
            ]
        }
    ]

    class Pipelines:
        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self, **_: Any) -> list[dict[str, Any]]:
            return pages

    handler.sagemaker = Pipelines()
    assert handler.handler({}, FakeContext())[contract.TRAINING_OVERDUE_METRIC] is overdue
