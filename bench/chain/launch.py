"""Actions of operators and EMR outside the chain: launch a preparation, report its failure, deploy again."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.chain import preparation
from bench.chain.short_stage import ShortStage
from emulator.environment import client_environment
from ml import contract

PREPARATION_S = 1.0  # during which the files of a run are written
CLUSTER = "j-0123456789ABC"


@contextmanager
def preparation_process(stage: ShortStage, run_id: str) -> Iterator[psutil.Process]:
    """A process that writes the files of a run; the block ends when it has ended."""
    deployed = stage.stage
    with tempfile.TemporaryDirectory() as folder:
        for name, content in stage.files_of(run_id).items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        command = [sys.executable, preparation.__file__, folder, deployed.outputs["data_bucket"]]
        process = subprocess.Popen(
            [*command, contract.run_prefix(run_id), str(PREPARATION_S)],
            env=client_environment(deployed.url, deployed.region, Path(folder)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield psutil.Process(process.pid)
        finally:
            process.wait()


def report_failed_preparation(stage: ShortStage, reason: str) -> None:
    """The event that EMR sends when the step of a cluster has failed."""
    stage.emulator.send_event(
        "aws.emr",
        "EMR Cluster State Change",
        {
            "clusterId": CLUSTER,
            "name": stage.stage.outputs["preparation_job"],
            "state": "TERMINATED_WITH_ERRORS",
            "message": f"Cluster {CLUSTER} has terminated with errors: {reason}",
        },
    )


def deploy(stage: ShortStage, run_id: str) -> None:
    """Invoke deploy_model for a run's package, as the runbook says."""
    package = stage.package_of(run_id)
    if package is not None:
        payload = json.dumps({"model_package_arn": package["ModelPackageArn"]})
        stage.stage.client("lambda").invoke(
            FunctionName=stage.stage.outputs["deploy_model_function"], Payload=payload.encode()
        )
