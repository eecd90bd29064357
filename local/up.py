"""`make up`: deploy a stage to the emulator, publish the code, prepare a run and serve its model."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console

from emulator.app import Emulator
from emulator.environment import client_environment
from local.api import recommend
from local.aws import STATE_FILE, DeployedStage
from local.batch import follow_batch
from local.chain import Chain
from local.deploy.engine import deploy
from local.deploy.project import Stage, load_stage
from local.errors import StepFailedError
from local.permissions.report import report
from local.preparation import download_quarantine, run_job_flow, upload_interactions
from local.summary import Summary
from local.timeline import Timeline
from ml import contract
from ml.preparation.detect.record import record_line
from ml.settings.metrics import GATED_METRICS

ROOT = Path(__file__).resolve().parent.parent
PERMISSIONS_FILE = "permissions.json"
QUARANTINE = "quarantine"  # folder beside the summary
SYNTHETIC_SEED = 7
N_EXAMPLE_USERS = 3
SUBPROCESS_TIMEOUT_S = 300


@dataclass(frozen=True)
class UpOptions:
    """Options of ``make up``; without ``data`` a seeded synthetic data set is generated."""

    stage: str
    data: Path | None
    port: int
    output: Path
    job: tuple[str, ...] = ()  # options of the preparation job


@contextmanager
def up(options: UpOptions, console: Console) -> Iterator[DeployedStage]:
    """Deploy a stage and serve a model of the data inside the block; every process ends after it.

    Raises:
        BadInputError: the stage, its config or the interactions are unusable.
        StepFailedError: a step failed, or the candidate failed the quality gate.
    """
    config = load_stage(options.stage, ROOT)
    with Emulator(region=config.region).start(options.port) as emulator:
        if emulator.moved:
            console.print(f"port {options.port} is in use: using {emulator.port} instead", style="dim")
        with Timeline(console) as timeline:
            stage = deploy_stage(config, emulator, timeline)
            summary = _first_run_with_permissions(stage, options, timeline)
        summary.write(options.output)
        summary.show(console)
        _check_permissions(stage, options.output.parent, console)
        stage.publish()
        try:
            yield stage
        finally:
            stage.withdraw()


def deploy_stage(config: Stage, emulator: Emulator, timeline: Timeline) -> DeployedStage:
    """Deploy the Pulumi program of a stage to the emulator."""
    with timeline.step("deploy", "the Pulumi program") as step:

        def show(kind: str, name: str, n_done: int) -> None:
            step.detail = f"{n_done} resources, {kind.rsplit(':', 1)[-1]} {name}"

        deployment = deploy(config.name, root=ROOT, emulator=emulator, on_progress=show)
        step.detail = f"{len(deployment.resources)} resources"
    return DeployedStage(config.name, emulator.url, emulator.region, os.getpid(), deployment.outputs)


def _first_run_with_permissions(stage: DeployedStage, options: UpOptions, timeline: Timeline) -> Summary:
    """`_first_run`; a failure names the refusals that came before it."""
    try:
        return _first_run(stage, options, timeline)
    except StepFailedError as error:
        error.log_lines += [*report(stage).refusals]
        raise


def _check_permissions(stage: DeployedStage, folder: Path, console: Console) -> None:
    """Write the report of the roles' permissions, and print the grants that nothing needed.

    Raises:
        StepFailedError: a role was refused an action; the message names role, action and resource.
    """
    found = report(stage)
    found.write(folder / PERMISSIONS_FILE)
    if found.unused:
        names = folder / PERMISSIONS_FILE
        console.print(f"{len(found.unused)} grants had no use in this run: {names}", style="dim")
    if found.refusals:
        raise StepFailedError("permissions", found.refusals[0], found.refusals[1:])


def _first_run(stage: DeployedStage, options: UpOptions, timeline: Timeline) -> Summary:
    data = options.data
    run_id = contract.run_id_of(datetime.now(UTC))
    with timeline.step("publish code", "the Jenkins scripts"):
        publish_code(stage)
    with timeline.step("upload", str(data or "a synthetic data set")):
        upload_interactions(stage, data or synthetic_interactions())
    quarantine = options.output.parent / QUARANTINE
    manifest, evaluation = train(stage, run_id, timeline, options.job, quarantine)
    with timeline.step("recommend", "three users, through the API"):
        recommendations = [recommend(stage, user) for user in example_users(stage, run_id)]
    follow_batch(stage, timeline)
    versions = {answer.pop("model_version") for answer in recommendations}
    if versions != {run_id}:
        raise StepFailedError("recommend", f"the API serves model {', '.join(versions)}, not {run_id}")
    return Summary(
        stage=stage.stage,
        run_id=run_id,
        timeline=timeline.as_json(),
        metrics={
            name: {metric.key: evaluation[name][metric.key] for metric in GATED_METRICS}
            for name in ("model", "popularity")
        },
        recommendations=recommendations,
        model_version=run_id,
        api_url=stage.outputs["api_url"],
        counts=manifest["counts"],
        training_notes=evaluation["training_notes"],
    )


def train(
    stage: DeployedStage,
    run_id: str,
    timeline: Timeline,
    job_options: Sequence[str] = (),
    quarantine: Path = Path("out") / QUARANTINE,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Prepare a run and follow it until its model is deployed; returns its manifest and its evaluation.

    Args:
        stage: the deployed stage.
        run_id: of the run.
        timeline: shows the steps.
        job_options: options of the preparation job, which replace the stage's.
        quarantine: folder for the rows that could not be used.

    Raises:
        BadInputError, StepFailedError: see `run_job_flow` and `Chain.follow`.
    """
    with timeline.step("prepare", "Spark") as step:
        try:
            manifest = run_job_flow(stage, run_id, step, job_options)
        finally:
            n_files = download_quarantine(stage, run_id, quarantine)
        if n_files:
            timeline.console.print(f"quarantined rows: {quarantine}/", style="dim", soft_wrap=True)
        for layout in manifest.get("layouts", ()):
            timeline.console.print(f"read {record_line(layout)}", style="dim", markup=False, soft_wrap=True)
        step.detail = f"{manifest['counts']['kept']:,} of {manifest['counts']['events_read']:,} events kept"
    chain = Chain(stage, run_id, timeline)
    chain.follow()
    return manifest, chain.evaluation()


def publish_code(stage: DeployedStage) -> None:
    """Bundle and upload the code with the scripts of the Jenkins pipeline.

    Raises:
        StepFailedError: a script failed.
    """
    bundle = STATE_FILE.parent.resolve() / "bundle" / "source.zip"
    environment = client_environment(stage.url, stage.region, Path.home())
    _script("publish code", ["ci.bundle", "--output", str(bundle)], environment)
    bucket = stage.outputs["artifacts_bucket"]
    _script("publish code", ["ci.publish", "--bucket", bucket, "--bundle", str(bundle)], environment)


def synthetic_interactions() -> Path:
    """Generate the seeded data set that is used without ``--data``."""
    path = STATE_FILE.parent.resolve() / "synthetic" / "shop.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    _script("upload", ["ml.synthetic", "--output", str(path), "--seed", str(SYNTHETIC_SEED)], None)
    return path


def _script(step: str, module: list[str], environment: dict[str, str] | None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *module],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SUBPROCESS_TIMEOUT_S,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise StepFailedError(step, f"python -m {module[0]} ended with {done.returncode}", lines)


def example_users(stage: DeployedStage, run_id: str) -> list[str]:
    """Three users of the run: the first, the middle and the last in order of id."""
    key = contract.run_prefix(run_id) + contract.USERS_FILE
    body = stage.client("s3").get_object(Bucket=stage.outputs["data_bucket"], Key=key)["Body"].read()
    users = pq.read_table(io.BytesIO(body), columns=["user_id"])["user_id"].to_pylist()
    return [users[round(i * (len(users) - 1) / (N_EXAMPLE_USERS - 1))] for i in range(N_EXAMPLE_USERS)]
