"""Command `variants`: which models it compares."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest
from moto import mock_aws
from rich.console import Console

from local.errors import BadInputError
from local.variants.command import VariantOptions, run
from local.variants.records import UserKey
from ml import contract
from ml.contract import UNKNOWN_MODEL_VERSION

CONTROL, TREATMENT = "20261123T020000Z", "20261124T020000Z"
KEY = UserKey(bytes(range(32)))


def options(folder: Path, **answers: int) -> VariantOptions:
    """Options for files with a number of answers per model version, and no clicks."""
    common = {"message": "answer recorded", "answered_at": 1, "items": ["7"], "latency_ms": 1, "error": ""}
    common["user_key"] = KEY.id
    lines = [
        json.dumps({**common, "user": f"u{number}", "model_version": version})
        for version, n_answers in answers.items()
        for number in range(n_answers)
    ]
    records, clicks = folder / "answers.log", folder / "clicks.csv"
    records.write_text("\n".join(lines))
    clicks.write_text("user_id,item_id,time\n")
    key = folder / "key"
    key.write_bytes(KEY.secret)
    return VariantOptions(clicks, records, key, "0", ("", ""), window_minutes=30, reject_if_worse=False)


def test_answers_without_a_readable_version_are_not_a_model(tmp_path: Path) -> None:
    out = Console(file=io.StringIO(), width=200)
    found = run(options(tmp_path, **{CONTROL: 90, UNKNOWN_MODEL_VERSION: 60, TREATMENT: 40}), out)
    assert (found.control.version, found.treatment.version) == (CONTROL, TREATMENT)
    assert "left out: 60 answers" in out.file.getvalue()


def test_one_model_is_not_compared(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="answers of 1 model versions: set api"):
        run(options(tmp_path, **{CONTROL: 3, UNKNOWN_MODEL_VERSION: 2}), Console(file=io.StringIO()))


def test_answers_before_the_first_click_or_since_a_time_are_left_out(tmp_path: Path) -> None:
    found = options(tmp_path, **{CONTROL: 3, TREATMENT: 2})  # at second 1
    with pytest.raises(BadInputError, match="answers of 0 model versions"):
        run(replace(found, since="1970-01-01T00:00:02Z"), Console(file=io.StringIO()))
    found.clicks.write_text("user_id,item_id,time\n42,7,1900\n42,7,5000\n")
    with pytest.raises(BadInputError, match="answers of 0 model versions"):  # 30 minutes before 1900: 100
        run(replace(found, since=""), Console(file=io.StringIO()))
    found.clicks.write_text("user_id,item_id,time\n42,7,1801\n")
    assert run(replace(found, since=""), Console(file=io.StringIO())).control.n_answers == 3
    with pytest.raises(BadInputError, match="--since: time is 'today'"):
        run(replace(found, since="today"), Console(file=io.StringIO()))


def test_answers_recorded_with_another_key_are_left_out_and_counted(tmp_path: Path) -> None:
    found, out = options(tmp_path, **{CONTROL: 3, TREATMENT: 2}), Console(file=io.StringIO(), width=200)
    assert found.records is not None
    lines = found.records.read_text().splitlines()
    lines.append(lines[0].replace(KEY.id, "00000000"))
    found.records.write_text("\n".join(lines))
    assert run(found, out).control.n_answers == 3
    assert "left out: 1 answers recorded with another key" in out.file.getvalue()


class Stage:
    """Stage in moto, whose API recorded answers in its log and created its key."""

    outputs: ClassVar = {"artifacts_bucket": "artifacts", "recommend_log_group": "/aws/lambda/recommend"}

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name="us-east-1")


@mock_aws
def test_log_of_the_stage_is_read_from_the_time_of_the_first_answer(tmp_path: Path) -> None:
    stage, found = Stage(), options(tmp_path, **{CONTROL: 3, TREATMENT: 2})
    assert found.records is not None
    without_files = replace(found, records=None, key=None)
    stage.client("s3").create_bucket(Bucket="artifacts")
    with pytest.raises(BadInputError, match=f"{contract.RECORDING_KEY}: no such object"):
        run(without_files, Console(file=io.StringIO()), lambda: stage)  # type: ignore[arg-type]
    stage.client("s3").put_object(Bucket="artifacts", Key=contract.RECORDING_KEY, Body=KEY.secret)
    logs, group = stage.client("logs"), stage.outputs["recommend_log_group"]
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    now = int(time.time())
    moments = [now - 7200, now - 60, now - 50, now - 40, now - 30]
    lines = [
        json.loads(line) | {"answered_at": moment}
        for line, moment in zip(found.records.read_text().splitlines(), moments, strict=True)
    ]
    events = [{"timestamp": 1000 * line["answered_at"], "message": json.dumps(line)} for line in lines]
    events.insert(1, {"timestamp": 1000 * (now - 7000), "message": "START RequestId"})
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)
    since = replace(without_files, since=str(now - 600))
    result = run(since, Console(file=io.StringIO()), lambda: stage)  # type: ignore[arg-type]
    assert (result.control.n_answers, result.treatment.n_answers) == (2, 2)
