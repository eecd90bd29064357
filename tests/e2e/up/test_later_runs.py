"""Runs that S3 events start: one loses the gate, one fails, is repaired and deployed."""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console as Terminal

from local.chain import EVENT_TIMEOUT_S, Chain
from local.console.server import serve
from local.console.state import Console
from local.errors import StepFailedError
from local.timeline import Timeline
from ml import contract
from ml.pipeline.execution import display_name
from ml.settings.monitoring import MONITORED_METRICS
from tests.e2e.browser import ConsolePage, chromium
from tests.e2e.platform import Inbox, ServedPlatform, update_schedule
from tests.polling import eventually

pytestmark = pytest.mark.e2e

REJECTED_RUN = "20991231T000000Z"
REPAIRED_RUN = "20991231T010000Z"


@pytest.fixture
def quiet() -> Timeline:
    return Timeline(Terminal(file=io.StringIO()))


def test_lost_gate_registers_nothing_and_gives_one_notification_of_its_own(
    platform: ServedPlatform, quiet: Timeline, inbox: Inbox
) -> None:
    with pytest.raises(StepFailedError) as failure:
        _follow(platform, REJECTED_RUN, quiet, _shuffle_items)
    assert failure.value.rejected
    assert failure.value.step == contract.STEP_REJECTED
    assert len(platform.packages()) == 1
    assert platform.get("/recommendations/u000001").json()["model_version"] == platform.run["run_id"]
    assert platform.build_status(platform.builds()[0]) == "SUCCEEDED"
    assert platform.executions()[0]["PipelineExecutionStatus"] == "Succeeded"
    (notification,) = inbox.received()
    assert notification["Subject"] == f"NCF dev: candidate of run {REJECTED_RUN} not better"
    assert "\n".join(failure.value.log_lines) in notification["Message"]
    assert "champion" in failure.value.log_lines[0]
    # The shuffled rows of the newest day are new to the model that serves.
    served = _evaluation(platform, REJECTED_RUN)["served"]
    assert served["model_package_arn"].endswith("/1")
    assert served["n_pairs"] > 0
    found = platform.stage.client("cloudwatch").list_metrics(Namespace=contract.METRICS_NAMESPACE)["Metrics"]
    assert {metric.name for metric in MONITORED_METRICS} <= {each["MetricName"] for each in found}


def test_failed_training_keeps_the_served_model_and_gives_the_failure_notifications(
    platform: ServedPlatform, quiet: Timeline, inbox: Inbox
) -> None:
    with pytest.raises(StepFailedError) as failure:
        _follow(platform, REPAIRED_RUN, quiet, _truncate_validation)
    assert failure.value.step == contract.STEP_TRAINING
    assert "validation" in failure.value.reason
    assert failure.value.log_lines
    assert platform.get("/recommendations/u000001").json()["model_version"] == platform.run["run_id"]
    eventually(lambda: len(inbox.received()) >= 3, EVENT_TIMEOUT_S, "the failures are published")
    # The first is the one of the lost gate, which gave no failure notification.
    kinds = [_kind(notification) for notification in inbox.received()]
    assert (kinds[0], sorted(kinds[1:])) == ("not better", ["Build FAILED", "Pipeline execution Failed"])


def test_failed_run_is_started_again_with_its_id_and_deployed_without_api_downtime(
    platform: ServedPlatform, quiet: Timeline, inbox: Inbox
) -> None:
    builds, n_notifications = platform.builds(), len(inbox.received())
    chain = Chain(platform.stage, REPAIRED_RUN, quiet)
    with _client(platform) as answers:
        platform.copy_run(REPAIRED_RUN, lambda files: files.__delitem__(contract.SUCCESS_FILE))  # the repair
        platform.write_success_again(REPAIRED_RUN)
        eventually(lambda: len(platform.builds()) == len(builds) + 1, EVENT_TIMEOUT_S, "a build is started")
        chain.follow()
        eventually(lambda: answers[-1][1] == REPAIRED_RUN, EVENT_TIMEOUT_S, "the repaired model answers")
    assert {status for status, _ in answers} == {200}
    versions = [version for _, version in answers]
    assert list(dict.fromkeys(versions)) == [platform.run["run_id"], REPAIRED_RUN]
    statuses = [
        each["PipelineExecutionStatus"]
        for each in platform.executions()
        if each["PipelineExecutionDisplayName"] == display_name(REPAIRED_RUN)
    ]
    assert statuses == ["Succeeded", "Failed"]
    packages = {p["ModelPackageVersion"]: p["ModelPackageArn"] for p in platform.packages()}
    assert sorted(packages) == [1, 2]
    assert chain.evaluation()["champion"]["model_package_arn"] == packages[1]
    platform.repeat_success_event(REPAIRED_RUN)
    assert len(platform.builds()) == len(builds) + 1
    assert len(inbox.received()) == n_notifications


def test_scheduled_check_finds_the_run_and_ends_the_alarms(platform: ServedPlatform) -> None:
    cloudwatch, scheduler = platform.stage.client("cloudwatch"), platform.stage.client("scheduler")

    def overdue() -> dict[str, str]:
        found = cloudwatch.describe_alarms(AlarmNamePrefix=f"ncf-{platform.stage.stage}-")["MetricAlarms"]
        return {each["AlarmName"]: each["StateValue"] for each in found if "overdue" in each["AlarmName"]}

    (check,) = (each["Name"] for each in scheduler.list_schedules()["Schedules"] if "check" in each["Name"])
    due = datetime.now(UTC) + timedelta(seconds=1)
    changes = {"ScheduleExpression": f"at({due:%Y-%m-%dT%H:%M:%S})", "ScheduleExpressionTimezone": "UTC"}
    update_schedule(platform.stage, check, State="ENABLED", **changes)
    # Without a check in the last half hour, both are in ALARM.
    eventually(lambda: set(overdue().values()) == {"OK"}, EVENT_TIMEOUT_S, "prepared and trained in time")
    assert len(overdue()) == 2  # of the preparation and of the training


def test_person_withdraws_and_approves_a_model_in_the_console_and_sees_it_serve(
    platform: ServedPlatform,
) -> None:
    newest, previous = sorted((each["ModelPackageVersion"] for each in platform.packages()), reverse=True)
    with serve(Console(platform.stage)) as url, chromium() as browser:
        browser.get(url)
        page = ConsolePage(browser)
        assert page.text("stage") == f"dev, {platform.stage.region}"
        assert page.text(f"run-{REPAIRED_RUN}") == REPAIRED_RUN
        page.decide("reject", newest)
        page.wait_for("serves", f"serves version {previous}, run {platform.run['run_id']}")
        page.decide("approve", newest)
        page.wait_for("serves", f"serves version {newest}, run {REPAIRED_RUN}")
        page.ask("u000001", f"u000001: strategy ncf, model {REPAIRED_RUN}")
        page.click_item(f"u000001: strategy ncf+session, model {REPAIRED_RUN}")
        assert page.problems() == []


def _kind(notification: dict[str, Any]) -> str:
    """Kind of a notification: what ended, and how."""
    if "not better" in notification.get("Subject", ""):
        return "not better"
    text = notification["Message"].strip('"')
    found = re.match(r"(Build|Pipeline execution) \S+ ended (\w+)", text)
    return " ".join(found.groups()) if found else text


@contextmanager
def _client(platform: ServedPlatform) -> Iterator[list[tuple[int, str]]]:
    """Requests one after another during the block; yields the status and the model version of each answer."""
    answers: list[tuple[int, str]] = []
    done = threading.Event()

    def send_requests() -> None:
        while not done.wait(0.1):
            response = platform.get("/recommendations/u000001")
            answers.append((response.status_code, response.json().get("model_version", "")))

    thread = threading.Thread(target=send_requests)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()


def _follow(
    platform: ServedPlatform, run_id: str, timeline: Timeline, change: Callable[[dict[str, bytes]], None]
) -> None:
    platform.copy_run(run_id, change)
    Chain(platform.stage, run_id, timeline).follow()


def _evaluation(platform: ServedPlatform, run_id: str) -> dict[str, Any]:
    """Evaluation report of a run."""
    key = f"{contract.MODELS_PREFIX}{run_id}/evaluation/{contract.EVALUATION_FILE}"
    bucket = platform.stage.outputs["artifacts_bucket"]
    return dict(json.load(platform.stage.client("s3").get_object(Bucket=bucket, Key=key)["Body"]))


def _shuffle_items(files: dict[str, bytes]) -> None:
    """Permute the items of the training rows: a valid run from which no preferences can be learned."""
    manifest = json.loads(files[contract.MANIFEST_FILE])
    n_items = pq.read_metadata(io.BytesIO(files[contract.ITEMS_FILE])).num_rows
    shuffled = np.random.default_rng(0).permutation(n_items).astype(np.int32)
    for name in [name for name in files if name.startswith("train/")]:
        table = pq.read_table(io.BytesIO(files[name]))
        column = table.schema.get_field_index("item_index")
        table = table.set_column(column, table.schema.field(column), pa.array(shuffled[table["item_index"]]))
        written = io.BytesIO()
        pq.write_table(table, written)
        files[name] = written.getvalue()
        entry = {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}
        manifest["files"][name] |= entry
    files[contract.MANIFEST_FILE] = json.dumps(manifest).encode()


def _truncate_validation(files: dict[str, bytes]) -> None:
    """Truncate the validation files, so that they differ from the manifest."""
    for name in [name for name in files if name.startswith("validation/")]:
        files[name] = files[name][:-8]
