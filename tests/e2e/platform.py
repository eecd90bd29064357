"""A served stage as its users access it: a process, an API, and AWS clients."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

from local.aws import STATE_FILE, DeployedStage
from ml import contract
from tests.polling import eventually

ROOT = Path(__file__).resolve().parents[2]
PROGRESS_TIMEOUT_S = 300  # the longest step, on a machine that runs other work too
START_TIMEOUT_S = 1800
EXIT_TIMEOUT_S = 30
SMALL_SHOP = ("--users", "600", "--items", "300", "--interactions", "24000")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@dataclass
class ProgressLog:
    """The output of a process; ``check`` fails when the process has ended or printed nothing for too long."""

    path: Path
    timeout_s: float
    _size: int = 0
    _grown_at: float = field(default_factory=time.monotonic)

    def check(self, process: subprocess.Popen[bytes]) -> None:
        assert process.poll() is None, f"ended with {process.returncode}:\n{self.path.read_text()}"
        now, size = time.monotonic(), self.path.stat().st_size
        if size > self._size:
            self._size, self._grown_at = size, now
        assert now - self._grown_at < self.timeout_s, (
            f"no output for {self.timeout_s:g} s:\n{self.path.read_text()}"
        )


class ProcessTree:
    """A process and the descendants that `observe` has found, including those whose parent has ended."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.root = process
        self._descendants: set[psutil.Process] = set()

    def observe(self) -> None:
        """Add the descendants that run now."""
        parents = list(self._descendants)
        with contextlib.suppress(psutil.NoSuchProcess):
            if self.root.poll() is None:
                parents.append(psutil.Process(self.root.pid))
        for parent in parents:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._descendants.update(parent.children(recursive=True))

    def interrupt(self) -> list[psutil.Process]:
        """Send SIGINT to the process, as Ctrl-C does; returns the descendants that are still running."""
        self.observe()
        self.root.send_signal(signal.SIGINT)
        self.root.wait(EXIT_TIMEOUT_S)
        return psutil.wait_procs(self._descendants, timeout=EXIT_TIMEOUT_S)[1]

    def kill(self) -> None:
        """End every process of the tree."""
        self.observe()
        self.root.kill()
        self.root.wait()
        for process in self._descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(self._descendants, timeout=EXIT_TIMEOUT_S)


@contextmanager
def started(
    argv: list[str],
    folder: Path,
    is_ready: Callable[[], object],
    *,
    progress_timeout_s: float = PROGRESS_TIMEOUT_S,
) -> Iterator[ProcessTree]:
    """Run a command in a folder until it is ready, with its output in ``command.log``.

    The process and its descendants are ended when the block ends, and when the command does not become ready.
    """
    log = folder / "command.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, cwd=folder, env=environment(), stdout=output, stderr=subprocess.STDOUT
        )
    tree, progress = ProcessTree(process), ProgressLog(log, progress_timeout_s)

    def ready() -> bool:
        progress.check(process)
        tree.observe()
        return bool(is_ready())

    try:
        eventually(ready, START_TIMEOUT_S, f"{argv[1:]} is ready")
        yield tree
    finally:
        tree.kill()


@dataclass
class Platform:
    """A stage that ``python -m local up --serve`` serves from a folder."""

    folder: Path
    processes: ProcessTree
    stage: DeployedStage
    run: dict[str, Any]

    @classmethod
    @contextmanager
    def serve(cls, folder: Path) -> Iterator[Platform]:
        """Serve the dev stage with a model of a small synthetic shop."""
        shop = [sys.executable, "-m", "ml.synthetic", "--output", str(folder / "shop.csv"), *SMALL_SHOP]
        subprocess.run(shop, env=environment(), check=True, timeout=PROGRESS_TIMEOUT_S)
        up = [sys.executable, "-m", "local", "up", "--serve", "--port", "0", "--data", "shop.csv"]
        state = folder / STATE_FILE
        with started(up, folder, state.exists) as processes:
            stage = DeployedStage(**json.loads(state.read_text()))
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
