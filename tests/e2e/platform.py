"""Served stage under test: its processes, its API and AWS clients."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from bench.chain import inbox
from local.aws import STATE_FILE, DeployedStage
from local.chain import EVENT_TIMEOUT_S
from ml import contract
from tests.e2e.processes import ProcessTree, finished, started
from tests.polling import eventually

SMALL_SHOP = ("--users", "300", "--items", "250", "--interactions", "7500")


class Inbox:
    """All notifications of a stage until now, without those of alarms, or only those."""

    def __init__(self, stage: DeployedStage) -> None:
        self._inbox = inbox.Inbox(stage)
        self._received: list[dict[str, Any]] = []

    def received(self) -> list[dict[str, Any]]:
        """All notifications until now but those of alarms; `Subject` and `Message` are their texts."""
        return [each for each in self._all() if not _is_of_alarm(each)]

    def alarms(self) -> list[str]:
        """Subjects of the notifications of alarms until now. They also start and end with other tests."""
        return [each["Subject"] for each in self._all() if _is_of_alarm(each)]

    def _all(self) -> list[dict[str, Any]]:
        self._received += self._inbox.receive()
        return self._received


def _is_of_alarm(notification: dict[str, Any]) -> bool:
    return bool(notification.get("Subject", "").startswith(("ALARM: ", "OK: ")))


@dataclass
class ServedPlatform:
    """A stage that ``python -m local up --serve`` serves from a folder."""

    folder: Path
    processes: ProcessTree
    stage: DeployedStage
    run: dict[str, Any]

    @classmethod
    @contextmanager
    def serve(cls, folder: Path) -> Iterator[ServedPlatform]:
        """Serve the dev stage with a model of a small synthetic shop."""
        shop = [sys.executable, "-m", "ml.synthetic", "--output", "shop.csv", *SMALL_SHOP]
        assert finished(shop, folder).returncode == 0
        up = [sys.executable, "-m", "local", "up", "--serve", "--port", "0", "--data", "shop.csv"]
        state = folder / STATE_FILE
        with started(up, folder, state.exists) as processes:
            stage = DeployedStage(**json.loads(state.read_text()))
            _disable_schedules(stage)
            yield cls(folder, processes, stage, json.loads((folder / "out" / "run.json").read_text()))

    def get(self, path: str, **params: str) -> requests.Response:
        return requests.get(self.stage.outputs["api_url"].rstrip("/") + path, params=params, timeout=30)

    def seen(self) -> dict[str, set[str]]:
        """Items per user in the raw interactions."""
        seen: dict[str, set[str]] = {}
        with (self.folder / "shop.csv").open() as file:
            for row in csv.DictReader(file):
                seen.setdefault(row["user_id"], set()).add(row["item_id"])
        return seen

    def copy_run(self, run_id: str, change: Callable[[dict[str, bytes]], None] = lambda _: None) -> None:
        """Write a copy of the prepared run under another id, ``_SUCCESS`` last.

        ``change`` may edit the files (content by name) before they are written.
        """
        s3, bucket = self.stage.client("s3"), self.stage.outputs["data_bucket"]
        source = contract.run_prefix(self.run["run_id"])
        keys = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix=source)["Contents"]]
        files = {k.removeprefix(source): s3.get_object(Bucket=bucket, Key=k)["Body"].read() for k in keys}
        change(files)
        for name in sorted(files, key=lambda name: name == contract.SUCCESS_FILE):
            s3.put_object(Bucket=bucket, Key=contract.run_prefix(run_id) + name, Body=files[name])

    def write_success_again(self, run_id: str) -> None:
        """Copy ``_SUCCESS`` of a run onto itself, as the runbook starts a failed run again."""
        bucket, key = self.stage.outputs["data_bucket"], contract.run_prefix(run_id) + contract.SUCCESS_FILE
        self.stage.client("s3").copy_object(
            Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key}, MetadataDirective="REPLACE"
        )

    def repeat_success_event(self, run_id: str) -> None:
        """Copy ``_SUCCESS`` of a run onto itself and wait until the function has handled the event."""
        group = self.stage.outputs["render_buildspec_log_group"]

        def runs() -> int:
            events = self.stage.client("logs").filter_log_events(logGroupName=group)["events"]
            return sum("REPORT RequestId" in event["message"] for event in events)

        before = runs()
        self.write_success_again(run_id)
        eventually(lambda: runs() > before, EVENT_TIMEOUT_S, "the function runs again")

    def build_status(self, build_id: str) -> str:
        return self.stage.client("codebuild").batch_get_builds(ids=[build_id])["builds"][0]["buildStatus"]

    def builds(self) -> list[str]:
        codebuild = self.stage.client("codebuild")
        return codebuild.list_builds_for_project(projectName=self.stage.outputs["codebuild_project"])["ids"]

    def executions(self) -> list[dict[str, Any]]:
        sagemaker = self.stage.client("sagemaker")
        found = sagemaker.list_pipeline_executions(PipelineName=self.stage.outputs["pipeline_name"])
        return found["PipelineExecutionSummaries"]

    def packages(self) -> list[dict[str, Any]]:
        sagemaker = self.stage.client("sagemaker")
        group = self.stage.outputs["model_package_group"]
        return sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]


def _disable_schedules(stage: DeployedStage) -> None:
    """Disable the nightly run and its check: they would begin if the tests run at that time."""
    for listed in stage.client("scheduler").list_schedules()["Schedules"]:
        update_schedule(stage, listed["Name"], State="DISABLED")


def update_schedule(stage: DeployedStage, name: str, **changes: str) -> None:
    """Change some settings of a schedule."""
    scheduler = stage.client("scheduler")
    found = scheduler.get_schedule(Name=name)
    names = ("ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target", "KmsKeyArn")
    kept = {each: found[each] for each in names if each in found}
    scheduler.update_schedule(Name=name, **{**kept, **changes})
