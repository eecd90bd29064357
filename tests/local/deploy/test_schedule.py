"""Without Airflow: the schedule that a stage deploys launches its preparation by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from emulator.app import Emulator
from local.deploy.engine import deploy
from ml.contract import RUN_ID_PLACEHOLDER, parse_run_id
from tests.polling import eventually

ROOT = Path(__file__).parents[3]


def steps(emulator: Emulator) -> list[dict[str, Any]]:
    emr = emulator.client("emr")
    found = [emr.list_steps(ClusterId=cluster["Id"])["Steps"] for cluster in emr.list_clusters()["Clusters"]]
    return [step for of_cluster in found for step in of_cluster]


def test_the_schedule_of_dev_launches_the_published_job_flow_for_its_own_time(emulator: Emulator) -> None:
    deploy("dev", root=ROOT, emulator=emulator)
    scheduler = emulator.client("scheduler")
    (listed,) = scheduler.list_schedules()["Schedules"]
    nightly = scheduler.get_schedule(Name=listed["Name"], GroupName=listed["GroupName"])
    assert nightly["ScheduleExpression"].startswith("cron(")

    due = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
    kept = ("Name", "GroupName", "Description", "FlexibleTimeWindow", "Target")
    scheduler.update_schedule(
        **{name: nightly[name] for name in kept}, ScheduleExpression=f"at({due:%Y-%m-%dT%H:%M:%S})"
    )

    (step,) = eventually(lambda: steps(emulator), timeout_s=90)
    for cluster in emulator.client("emr").list_clusters()["Clusters"]:
        emulator.client("emr").terminate_job_flows(JobFlowIds=[cluster["Id"]])
    arguments = step["Config"]["Args"]
    assert RUN_ID_PLACEHOLDER not in arguments
    assert parse_run_id(arguments[arguments.index("--run-id") + 1]) == f"{due:%Y%m%dT%H%M%SZ}"
