"""Upload raw interactions to a deployed stage and run the job flow that the stage published."""

from __future__ import annotations

import gzip
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.aws import DeployedStage
from local.errors import EXIT_BAD_INPUT, BadInputError, StepFailedError
from local.job_options import replace_flags
from local.timeline import Step
from ml import contract
from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.local_files import data_files, input_root

POLL_S = 0.2
JOB_FLOW_TIMEOUT_S = 3600
ENDED_STATES = {"COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED"}
PREPARATION = "ml.preparation"
STEP = "prepare"
LOG_LINES = 20


def upload_interactions(stage: DeployedStage, path: Path) -> int:
    """Upload a file, all files of a folder, or those of a pattern, under ``raw/interactions/``.

    Returns:
        The number of files.

    Raises:
        BadInputError: there are no such files.
    """
    try:
        # Of a folder also those that are no data: the log of a Delta table tells that it is one.
        is_folder = path.is_dir()
        files = sorted(each for each in path.rglob("*") if each.is_file()) if is_folder else data_files(path)
    except InputError as error:
        raise BadInputError(str(error)) from error
    if not files:
        raise BadInputError(f"{path}: the folder is empty")
    root = path.parent if path.is_file() else input_root(path)
    s3 = stage.client("s3")
    for file in files:
        key = contract.RAW_PREFIX + file.relative_to(root).as_posix()
        with file.open("rb") as body:
            s3.put_object(Bucket=stage.outputs["data_bucket"], Key=key, Body=body)
    return len(files)


def download_quarantine(stage: DeployedStage, run_id: str, folder: Path) -> int:
    """Copy the rows that a run could not use, in place of an earlier run's; returns the number of files."""
    s3, bucket = stage.client("s3"), stage.outputs["data_bucket"]
    prefix = f"{contract.run_prefix(run_id)}quarantine/"
    shutil.rmtree(folder, ignore_errors=True)
    n_files = 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for each in page.get("Contents", []):
            path = folder / each["Key"][len(prefix) :]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read())
            n_files += 1
    return n_files


def run_job_flow(
    stage: DeployedStage, run_id: str, step: Step, job_options: Sequence[str] = ()
) -> dict[str, Any]:
    """Launch the published RunJobFlow document for a run and wait for its step; returns the manifest.

    Args:
        stage: the deployed stage.
        run_id: of the run.
        step: shows the progress.
        job_options: options of the job, which replace those in the document.

    Raises:
        BadInputError: the job refused its input.
        StepFailedError: the step failed or did not end in time.
    """
    s3, emr, launcher = _clients(stage)
    published = s3.get_object(Bucket=stage.outputs["artifacts_bucket"], Key=contract.RUN_JOB_FLOW_KEY)
    document = published["Body"].read().decode().replace(contract.RUN_ID_PLACEHOLDER, run_id)
    request = json.loads(document)
    if job_options:
        jar_step = request["Steps"][0]["HadoopJarStep"]
        jar_step["Args"] = replace_flags(jar_step["Args"], job_options)
    cluster_id = launcher.run_job_flow(**request)["JobFlowId"]
    spark_step = emr.list_steps(ClusterId=cluster_id)["Steps"][0]
    step.detail = f"EMR {cluster_id}"
    deadline = time.monotonic() + JOB_FLOW_TIMEOUT_S
    while True:
        status = emr.describe_step(ClusterId=cluster_id, StepId=spark_step["Id"])["Step"]["Status"]
        if status["State"] in ENDED_STATES:
            break
        if time.monotonic() > deadline:
            raise StepFailedError(
                STEP, f"the EMR step is still {status['State']} after {JOB_FLOW_TIMEOUT_S} s"
            )
        time.sleep(POLL_S)
    if status["State"] != "COMPLETED":
        raise _failure(stage, status.get("FailureDetails", {}))
    key = contract.run_prefix(run_id) + contract.MANIFEST_FILE
    return dict(json.load(s3.get_object(Bucket=stage.outputs["data_bucket"], Key=key)["Body"]))


def _clients(stage: DeployedStage) -> tuple[Any, Any, Any]:
    """Clients of S3 and EMR, and an EMR client that launches clusters, with the roles of a stage's scheduler.

    Airflow's role also follows the cluster. The role of an EventBridge schedule launches clusters only.
    """
    if role := stage.outputs.get("airflow_role_arn"):
        emr = stage.role_client("emr", role)
        return stage.role_client("s3", role), emr, emr
    scheduler = stage.client("scheduler")
    pages = scheduler.get_paginator("list_schedules").paginate()
    (schedule,) = (
        each
        for page in pages
        for each in page["Schedules"]
        if each["Target"]["Arn"].endswith(":emr:runJobFlow")
    )
    role = scheduler.get_schedule(Name=schedule["Name"])["Target"]["RoleArn"]
    return stage.client("s3"), stage.client("emr"), stage.role_client("emr", role)


def _failure(stage: DeployedStage, details: Mapping[str, str]) -> Exception:
    """The error of a failed step: the job's message if it refused its input, otherwise reason and log."""
    reason = details.get("Message") or details.get("Reason", "no reason given")
    status, _, refusal = reason.partition(f"{PREPARATION}: ")
    if refusal and f"code {EXIT_BAD_INPUT}:" in status:
        return BadInputError(refusal)
    return StepFailedError(STEP, reason, _log_lines(stage, details.get("LogFile", ""))[-LOG_LINES:])


def _log_lines(stage: DeployedStage, uri: str) -> list[str]:
    """Standard error of the step, from the logs bucket; empty if there is none."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        data = stage.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except (BotoCoreError, ClientError):
        return []  # the reason is reported without a log
    return (gzip.decompress(data) if key.endswith(".gz") else data).decode(errors="replace").splitlines()
