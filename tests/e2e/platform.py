"""A served stage as its users see it: a process, an API, and AWS clients."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import requests

from local.aws import STATE_FILE, DeployedStage
from ml import contract

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 240
SMALL_SHOP = ("--users", "600", "--items", "300", "--interactions", "24000")
T = TypeVar("T")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def eventually(found: Callable[[], T | None], timeout_s: float, what: str) -> T:
    """The first true value of ``found``; polls, and fails naming ``what``."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.3)
    raise AssertionError(f"{what}: not within {timeout_s:g} s")


@dataclass
class Platform:
    """``python -m local up --serve`` in a folder of its own."""

    folder: Path
    process: subprocess.Popen[bytes]
    stage: DeployedStage
    run: dict[str, Any]

    @classmethod
    def start(cls, folder: Path) -> Platform:
        log = (folder / "up.log").open("wb")
        shop = [sys.executable, "-m", "ml.synthetic", "--output", str(folder / "shop.csv"), *SMALL_SHOP]
        subprocess.run(shop, env=environment(), check=True, timeout=60)
        process = subprocess.Popen(
            [sys.executable, "-m", "local", "up", "--serve", "--port", "0", "--data", "shop.csv"],
            cwd=folder,
            env=environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        state = folder / STATE_FILE

        def serving() -> bool:
            assert process.poll() is None, (folder / "up.log").read_text()
            return state.exists()

        eventually(serving, START_TIMEOUT_S, "the API serves")
        stage = DeployedStage(**json.loads(state.read_text()))
        return cls(folder, process, stage, json.loads((folder / "out" / "run.json").read_text()))

    def stop(self) -> list[psutil.Process]:
        """Ctrl-C; returns the processes that outlive it."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return psutil.wait_procs(family, timeout=10)[1]

    def get(self, path: str, **params: str) -> requests.Response:
        return requests.get(self.stage.outputs["api_url"].rstrip("/") + path, params=params, timeout=30)

    def seen(self) -> dict[str, set[str]]:
        """Every item of each user in the raw interactions."""
        seen: dict[str, set[str]] = {}
        with (self.folder / "shop.csv").open() as file:
            for row in csv.DictReader(file):
                seen.setdefault(row["user_id"], set()).add(row["item_id"])
        return seen

    def copy_run(self, run_id: str, change: Callable[[dict[str, bytes]], None] = lambda _: None) -> None:
        """Drop a second prepared run into the bucket, changed or not, ``_SUCCESS`` last."""
        s3, bucket = self.stage.client("s3"), self.stage.outputs["data_bucket"]
        source = contract.run_prefix(self.run["run_id"])
        keys = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix=source)["Contents"]]
        files = {k.removeprefix(source): s3.get_object(Bucket=bucket, Key=k)["Body"].read() for k in keys}
        change(files)
        for name in sorted(files, key=lambda name: name == contract.SUCCESS_FILE):
            s3.put_object(Bucket=bucket, Key=contract.run_prefix(run_id) + name, Body=files[name])

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
