"""`make up`: the first run up to recommendations, then further runs that S3 events start.

The tests share one served platform and run in the order of this file.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console as Terminal

from bench import endpoint_faults, fuzz_api
from emulator.environment import client_environment
from local.api import recommend
from local.aws import STATE_FILE
from local.chain import EVENT_TIMEOUT_S, Chain
from local.console.server import serve
from local.console.state import Console
from local.errors import StepFailedError
from local.permissions.documented import documented_uses
from local.permissions.report import read_uses, report, without_equivalent
from local.timeline import Timeline
from ml import contract
from ml.pipeline.execution import display_name
from ml.settings.monitoring import MONITORED_METRICS
from tests.e2e.browser import ConsolePage, chromium
from tests.e2e.platform import Inbox, ServedPlatform, update_schedule
from tests.e2e.processes import ROOT
from tests.polling import eventually

pytestmark = pytest.mark.e2e

SECOND_RUN = "20991231T000000Z"
REJECTED_RUN = "20991231T010000Z"
BROKEN_RUN = "20991231T020000Z"
USES = ROOT / "tests" / "stacks" / "uses"


@pytest.fixture
def quiet() -> Timeline:
    return Timeline(Terminal(file=io.StringIO()))


def test_run_file_contains_timeline_metrics_and_recommendations(platform: ServedPlatform) -> None:
    run = platform.run
    steps = [row["step"] for row in run["timeline"]]
    assert steps[:4] == ["deploy", "publish code", "upload", "prepare"]
    expected = [
        contract.STEP_TRAINING,
        contract.STEP_EVALUATION,
        contract.STEP_QUALITY_GATE,
        contract.STEP_REGISTER,
    ]
    assert [s for s in steps if s in expected] == expected
    assert {contract.STEP_CREATE_MODEL, contract.STEP_DEPLOY, "rollout", "recommend"} <= set(steps)
    assert {row["status"] for row in run["timeline"]} == {"succeeded"}
    assert run["metrics"]["model"]["hr_at_10"] >= run["metrics"]["popularity"]["hr_at_10"] + 0.10
    assert [r["strategy"] for r in run["recommendations"]] == ["ncf"] * 3
    assert run["model_version"] == run["run_id"]


def test_spot_training_leaves_its_checkpoints_in_s3(platform: ServedPlatform) -> None:
    sagemaker, s3 = platform.stage.client("sagemaker"), platform.stage.client("s3")
    names = [each["TrainingJobName"] for each in sagemaker.list_training_jobs()["TrainingJobSummaries"]]
    job = sagemaker.describe_training_job(TrainingJobName=names[-1])
    assert job["EnableManagedSpotTraining"]
    bucket, prefix = job["CheckpointConfig"]["S3Uri"].removeprefix("s3://").split("/", 1)
    stored = s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])
    # The service stores files as they change, also one that is not written to its end.
    complete = [each for each in stored if not each["Key"].endswith(".partial")]
    assert complete
    assert all(each["Key"].endswith(".pt") and each["Size"] for each in complete)


def test_known_user_gets_k_unseen_items_in_descending_order(platform: ServedPlatform) -> None:
    seen = platform.seen()
    for user in list(seen)[:25]:
        answer = platform.get(f"/recommendations/{quote(user)}", k="20").json()
        items = [item["item_id"] for item in answer["items"]]
        assert len(set(items)) == 20
        assert not seen[user].intersection(items)
        scores = [item["score"] for item in answer["items"]]
        assert scores == sorted(scores, reverse=True)
        assert answer["strategy"] == "ncf"


def test_unknown_user_gets_popular_items(platform: ServedPlatform) -> None:
    answer = platform.get("/recommendations/unknown%20user%2F1").json()
    assert answer["strategy"] == "popular"
    assert answer["user_id"] == "unknown user/1"
    assert len(answer["items"]) == 10


@pytest.mark.parametrize("k", ["0", "abc", "1001", "-3", "1.5"])
def test_invalid_k_is_refused_with_its_name_and_range(platform: ServedPlatform, k: str) -> None:
    response = platform.get("/recommendations/u000001", k=k)
    assert response.status_code == 400
    error = response.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert "k" in error["message"].split() or "k:" in error["message"]
    assert "1000" in error["message"]


def test_unknown_path_is_404_with_a_request_id(platform: ServedPlatform) -> None:
    response = platform.get("/nowhere")
    assert response.status_code == 404
    assert response.json()["error"]["request_id"]


def test_session_moves_a_known_user_and_gives_a_new_one_personal_items(platform: ServedPlatform) -> None:
    user, items = next(iter(platform.seen().items()))
    other = sorted(set().union(*platform.seen().values()) - items)[:5]
    known, new, unknown = (
        recommend(platform.stage, name, recent_items=recent)
        for name, recent in ((user, other), ("visitor", [*other, "nowhere"]), ("visitor", ["nowhere"]))
    )
    assert (known["strategy"], known["ignored_items"]) == ("ncf+session", 0)
    assert (new["strategy"], new["ignored_items"]) == ("session", 1)
    assert (unknown["strategy"], unknown["ignored_items"]) == ("popular", 1)
    for answer in (known, new):
        assert not {item["item_id"] for item in answer["items"]}.intersection(other)
    excluded = new["items"][0]["item_id"]
    again = recommend(platform.stage, "visitor", recent_items=other, exclude_items=[excluded])
    assert again["items"] == new["items"][1:] + again["items"][-1:]


def test_popular_list_of_the_deployed_model_answers_while_the_endpoint_is_throttled(
    platform: ServedPlatform,
) -> None:
    api_url = platform.stage.outputs["api_url"].rstrip("/")
    with endpoint_faults.faulty_runtime(platform.stage) as runtime:
        assert platform.get("/recommendations/u000001").json()["strategy"] == "ncf"
        runtime.fault = "throttled"
        answer = platform.get("/recommendations/u000001").json()
        assert (answer["strategy"], answer["model_version"]) == ("fallback", platform.run["run_id"])
        assert len(answer["items"]) == 10
        answers = endpoint_faults.ask(api_url, 8, n_clients=1)
    assert {(each.status, each.strategy) for each in answers} == {(200, "fallback")}
    assert runtime.n_calls <= 1 + 3  # then the circuit is open
    starts, n_fallbacks = endpoint_faults.alarm_on_fallbacks(platform.stage)
    assert n_fallbacks >= 9
    assert starts


def test_generated_requests_give_valid_responses(platform: ServedPlatform) -> None:
    found = fuzz_api.fuzz(platform.stage.outputs["api_url"].rstrip("/"), 80, seed=3)
    assert found.failures == []
    assert {label.rpartition(" ")[2] for label in found.statuses} >= {"200", "400"}


def test_served_model_reproduces_the_reported_metric(platform: ServedPlatform) -> None:
    """HR@10 from rankings by the endpoint: the held-out item against 99 sampled unseen items per user."""
    stage, generator = platform.stage, np.random.default_rng(0)
    tables = {name: _table(platform, name) for name in (contract.USERS_FILE, contract.ITEMS_FILE)}
    users = np.array(tables[contract.USERS_FILE]["user_id"].to_pylist())
    items = np.array(tables[contract.ITEMS_FILE]["item_id"].to_pylist())
    test = _split(platform, "test")
    seen, hits = platform.seen(), []
    rows = generator.choice(len(test), size=min(300, len(test)), replace=False)
    runtime = stage.client("sagemaker-runtime")
    for row in rows:
        user, item = users[test["user_index"][row].as_py()], items[test["item_index"][row].as_py()]
        unseen = np.array([i for i in items if i not in seen[user]])
        candidates = [item, *generator.choice(unseen, size=contract.N_TEST_NEGATIVES, replace=False)]
        request = {
            "user_id": user,
            "k": 10,
            "exclude_seen": False,
            "candidates": [str(c) for c in candidates],
        }
        answer = runtime.invoke_endpoint(
            EndpointName=stage.outputs["endpoint_name"],
            ContentType="application/json",
            Body=json.dumps({"instances": [request]}),
        )
        ranked = json.load(answer["Body"])["predictions"][0]["items"]
        hits.append(item in [r["item_id"] for r in ranked])
    reported = platform.run["metrics"]["model"]["hr_at_10"]
    assert np.mean(hits) == pytest.approx(reported, abs=0.08)  # 300 users: three standard errors


def test_repeated_success_event_starts_no_second_build(platform: ServedPlatform) -> None:
    run_id = platform.run["run_id"]
    before = (platform.builds(), len(platform.executions()))
    _write_success_again(platform, run_id)
    assert (platform.builds(), len(platform.executions())) == before


def test_second_run_is_deployed_without_api_downtime(platform: ServedPlatform, quiet: Timeline) -> None:
    answers: list[tuple[int, str]] = []
    done = threading.Event()

    def send_requests() -> None:
        while not done.wait(0.1):
            response = platform.get("/recommendations/u000001")
            answers.append((response.status_code, response.json().get("model_version", "")))

    client = threading.Thread(target=send_requests)
    client.start()
    try:
        platform.copy_run(SECOND_RUN)
        chain = Chain(platform.stage, SECOND_RUN, quiet)
        chain.follow()
        eventually(lambda: answers[-1][1] == SECOND_RUN, EVENT_TIMEOUT_S, "the new model answers")
    finally:
        done.set()
        client.join()
    assert {status for status, _ in answers} == {200}
    versions = [version for _, version in answers]
    assert list(dict.fromkeys(versions)) == [platform.run["run_id"], SECOND_RUN]
    packages = {p["ModelPackageVersion"]: p["ModelPackageArn"] for p in platform.packages()}
    assert sorted(packages) == [1, 2]
    assert chain.evaluation()["champion"]["model_package_arn"] == packages[1]


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


def test_lost_gate_registers_nothing_and_gives_one_notification_of_its_own(
    platform: ServedPlatform, quiet: Timeline, inbox: Inbox
) -> None:
    with pytest.raises(StepFailedError) as failure:
        _follow(platform, REJECTED_RUN, quiet, _shuffle_items)
    assert failure.value.rejected
    assert failure.value.step == contract.STEP_REJECTED
    assert len(platform.packages()) == 2
    assert platform.get("/recommendations/u000001").json()["model_version"] == SECOND_RUN
    assert platform.build_status(platform.builds()[0]) == "SUCCEEDED"
    assert platform.executions()[0]["PipelineExecutionStatus"] == "Succeeded"
    (notification,) = inbox.received()
    assert notification["Subject"] == f"NCF dev: candidate of run {REJECTED_RUN} not better"
    assert "\n".join(failure.value.log_lines) in notification["Message"]
    assert "champion" in failure.value.log_lines[0]
    # The shuffled rows of the newest day are new to the model that serves.
    served = _evaluation(platform, REJECTED_RUN)["served"]
    assert served["model_package_arn"].endswith("/2")
    assert served["n_pairs"] > 0
    found = platform.stage.client("cloudwatch").list_metrics(Namespace=contract.METRICS_NAMESPACE)["Metrics"]
    assert {metric.name for metric in MONITORED_METRICS} <= {each["MetricName"] for each in found}


def test_failed_training_keeps_the_served_model_and_gives_the_failure_notifications(
    platform: ServedPlatform, quiet: Timeline, inbox: Inbox
) -> None:
    with pytest.raises(StepFailedError) as failure:
        _follow(platform, BROKEN_RUN, quiet, _truncate_validation)
    assert failure.value.step == contract.STEP_TRAINING
    assert "validation" in failure.value.reason
    assert failure.value.log_lines
    assert platform.get("/recommendations/u000001").json()["model_version"] == SECOND_RUN
    eventually(lambda: len(inbox.received()) >= 3, EVENT_TIMEOUT_S, "the failures are published")
    # The first is the one of the lost gate, which gave no failure notification.
    kinds = [_kind(notification) for notification in inbox.received()]
    assert (kinds[0], sorted(kinds[1:])) == ("not better", ["Build FAILED", "Pipeline execution Failed"])


def test_failed_run_is_started_again_with_its_id_and_its_model_is_served(
    platform: ServedPlatform, quiet: Timeline, inbox: Inbox
) -> None:
    builds, n_notifications = platform.builds(), len(inbox.received())
    platform.copy_run(BROKEN_RUN, lambda files: files.__delitem__(contract.SUCCESS_FILE))  # the repair
    platform.write_success_again(BROKEN_RUN)
    eventually(lambda: len(platform.builds()) == len(builds) + 1, EVENT_TIMEOUT_S, "a build is started")
    Chain(platform.stage, BROKEN_RUN, quiet).follow()
    statuses = [
        each["PipelineExecutionStatus"]
        for each in platform.executions()
        if each["PipelineExecutionDisplayName"] == display_name(BROKEN_RUN)
    ]
    assert statuses == ["Succeeded", "Failed"]
    assert len(platform.packages()) == 3
    eventually(
        lambda: platform.get("/recommendations/u000001").json()["model_version"] == BROKEN_RUN,
        EVENT_TIMEOUT_S,
        "the repaired model answers",
    )
    _write_success_again(platform, BROKEN_RUN)
    assert len(platform.builds()) == len(builds) + 1
    assert len(inbox.received()) == n_notifications


def test_person_withdraws_and_approves_a_model_in_the_console_and_sees_it_serve(
    platform: ServedPlatform,
) -> None:
    newest, previous = sorted(platform.packages(), key=lambda each: -each["ModelPackageVersion"])[:2]
    with serve(Console(platform.stage)) as url, chromium() as browser:
        browser.get(url)
        page = ConsolePage(browser)
        assert page.text("stage") == f"dev, {platform.stage.region}"
        assert page.text(f"run-{BROKEN_RUN}") == BROKEN_RUN
        page.decide("reject", newest["ModelPackageVersion"])
        page.wait_for("serves", f"serves version {previous['ModelPackageVersion']}, run {SECOND_RUN}")
        page.decide("approve", newest["ModelPackageVersion"])
        page.wait_for("serves", f"serves version {newest['ModelPackageVersion']}, run {BROKEN_RUN}")
        page.ask("u000001", f"u000001: strategy ncf, model {BROKEN_RUN}")
        page.click_item(f"u000001: strategy ncf+session, model {BROKEN_RUN}")
        assert page.problems() == []


def test_roles_use_what_is_recorded_and_are_refused_nothing(platform: ServedPlatform) -> None:
    found = report(platform.stage)
    found.write(ROOT / "out" / f"uses-{found.stage}.json")
    assert found.refusals == []
    recorded = read_uses(USES / f"{found.stage}.json")
    known = [*recorded, *documented_uses(found.stage)]
    again = f"record again: cp out/uses-{found.stage}.json tests/stacks/uses/{found.stage}.json"
    assert without_equivalent(found.grants, found.uses, known) == [], again
    assert without_equivalent(found.grants, recorded, found.uses) == [], again


def test_teardown_leaves_nothing_that_stops_or_survives_the_deletion_of_the_stage(
    platform: ServedPlatform,
) -> None:
    """The last test of the platform: it deletes what the runs above created."""
    command = [sys.executable, "-m", "ci.teardown", "dev", "--outputs", str(platform.folder / STATE_FILE)]
    environment = client_environment(platform.stage.url, platform.stage.region, platform.folder)

    def teardown(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

    listed = teardown()
    assert listed.returncode == 0, listed.stderr
    kinds = {line.split(":")[0] for line in listed.stdout.splitlines()[:-1]}
    assert kinds == {
        *("endpoint", "endpoint config", "log stream", "model", "model package", "objects", "pipeline"),
    }
    assert len(platform.packages()) == 3
    deleted = teardown("--delete", "--confirm", "dev")
    assert deleted.returncode == 0, deleted.stderr
    assert teardown().stdout == "nothing to delete; run pulumi destroy --stack dev\n"
    _delete_resources_of_the_stage(platform)
    sagemaker, logs = platform.stage.client("sagemaker"), platform.stage.client("logs")
    assert sagemaker.list_models()["Models"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_pipelines()["PipelineSummaries"] == []
    assert platform.stage.client("s3").list_buckets()["Buckets"] == []
    own = {value for key, value in platform.stage.outputs.items() if key.endswith("_log_group")}
    groups = {group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]}
    shared = groups - own  # SageMaker's log groups of jobs, which all stages of an account use
    assert shared == {"/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs"}
    streams = [logs.describe_log_streams(logGroupName=group)["logStreams"] for group in shared]
    assert streams == [[], []]


def _delete_resources_of_the_stage(platform: ServedPlatform) -> None:
    """Delete what `pulumi destroy` deletes and runs can block: buckets, package group, bootstrap model."""
    sagemaker, s3 = platform.stage.client("sagemaker"), platform.stage.client("s3")
    (config,) = sagemaker.list_endpoint_configs()["EndpointConfigs"]
    sagemaker.delete_endpoint_config(EndpointConfigName=config["EndpointConfigName"])
    (model,) = sagemaker.list_models()["Models"]
    sagemaker.delete_model(ModelName=model["ModelName"])
    group = platform.stage.outputs["model_package_group"]
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    for name in ("data", "artifacts", "logs"):
        s3.delete_bucket(Bucket=platform.stage.outputs[f"{name}_bucket"])


def _write_success_again(platform: ServedPlatform, run_id: str) -> None:
    """Copy ``_SUCCESS`` onto itself and wait until the function has handled the event."""
    group = platform.stage.outputs["render_buildspec_log_group"]

    def runs() -> int:
        events = platform.stage.client("logs").filter_log_events(logGroupName=group)["events"]
        return sum("REPORT RequestId" in event["message"] for event in events)

    before = runs()
    platform.write_success_again(run_id)
    eventually(lambda: runs() > before, EVENT_TIMEOUT_S, "the function runs again")


def _kind(notification: dict[str, Any]) -> str:
    """Kind of a notification: what ended, and how."""
    if "not better" in notification.get("Subject", ""):
        return "not better"
    text = notification["Message"].strip('"')
    found = re.match(r"(Build|Pipeline execution) \S+ ended (\w+)", text)
    return " ".join(found.groups()) if found else text


def _follow(
    platform: ServedPlatform, run_id: str, timeline: Timeline, change: Callable[[dict[str, bytes]], None]
) -> None:
    platform.copy_run(run_id, change)
    Chain(platform.stage, run_id, timeline).follow()


def _table(platform: ServedPlatform, name: str) -> pa.Table:
    key = contract.run_prefix(platform.run["run_id"]) + name
    bucket = platform.stage.outputs["data_bucket"]
    body = platform.stage.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return pq.read_table(io.BytesIO(body))


def _split(platform: ServedPlatform, split: str) -> pa.Table:
    prefix = contract.run_prefix(platform.run["run_id"])
    listed = platform.stage.client("s3").list_objects_v2(
        Bucket=platform.stage.outputs["data_bucket"], Prefix=f"{prefix}{split}/"
    )["Contents"]
    return pa.concat_tables([_table(platform, o["Key"].removeprefix(prefix)) for o in listed])


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
