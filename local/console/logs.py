"""Last log lines of a step of a run."""

from __future__ import annotations

import gzip
from typing import Any

from botocore.exceptions import ClientError

from local.console.runs import BUILD, PREPARE, RENDER, ROLLOUT, Runs
from local.console.source import Source
from local.logs import group_log_lines, log_lines, step_log_lines
from ml import contract

N_LINES = 40
NO_LOG = ["(no log lines)"]
# Steps that a Lambda function runs, and the stack output with its log group.
FUNCTION_LOGS = {
    RENDER: "render_buildspec_log_group",
    contract.STEP_DEPLOY: "deploy_model_log_group",
    contract.STEP_REJECTED: "report_rejection_log_group",
}


def step_log(source: Source, runs: Runs, run_id: str, step: str) -> list[str]:
    """The last log lines of a step, or a line that says that there are none."""
    return _lines(source, runs, run_id, step)[-N_LINES:] or NO_LOG


def _lines(source: Source, runs: Runs, run_id: str, step: str) -> list[str]:
    logs, outputs = source.client("logs"), source.outputs
    if step == PREPARE:
        return _cluster_lines(source.client("s3"), runs.cluster_step(run_id))
    if step == BUILD:
        build = runs.build(run_id) or {}
        stream = build.get("logs", {})
        return log_lines(logs, stream["groupName"], stream["streamName"]) if "streamName" in stream else []
    if step == ROLLOUT:
        return group_log_lines(logs, outputs["endpoint_log_group"])
    if step in FUNCTION_LOGS:
        return group_log_lines(logs, outputs[FUNCTION_LOGS[step]])
    found = (each for each in runs.pipeline_steps(run_id) if each["StepName"] == step)
    return step_log_lines(logs, next(found, {}))


def _cluster_lines(s3: Any, step: dict[str, Any] | None) -> list[str]:
    """Standard error of an EMR step that failed; EMR names its log file only then."""
    uri = (step or {}).get("Status", {}).get("FailureDetails", {}).get("LogFile", "")
    if not uri:
        return []
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        return [f"({uri} cannot be read: {error})"]
    return (
        (gzip.decompress(content) if key.endswith(".gz") else content).decode(errors="replace").splitlines()
    )
