"""Evaluation of a run's model, and the curves of its training."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from local.console.source import Source
from ml import contract
from ml.pipeline.environment import Run
from ml.pipeline.report import job_log
from ml.settings.metrics import METRICS
from ml.settings.monitoring import MONITORED_METRICS

EPOCH = re.compile(r"(?P<phase>[^;,]+), epoch (?P<number>\d+), ")  # ml.ncf.jobs.train.log_epoch
N_EVENTS = 10_000  # maximum of GetLogEvents


def evaluation_of(source: Source, run_id: str) -> dict[str, Any] | None:
    """`evaluation.json` of a run; None before its evaluation."""
    key = Run(run_id=run_id, code_version="").evaluation_key
    try:
        found = source.client("s3").get_object(Bucket=source.outputs["artifacts_bucket"], Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    return json.load(found["Body"])


def served_values(evaluation: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Label and value of each monitored metric of the model that served; none before the evaluation."""
    served = (evaluation or {}).get("served")
    if not served:
        return []
    return [{"label": metric.label, "value": served[metric.key]} for metric in MONITORED_METRICS]


def training_curve(source: Source, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Metrics per epoch from the log of NCFTraining: `phase`, `epoch` and a value per metric label."""
    training = next((step for step in steps if step["StepName"] == contract.STEP_TRAINING), None)
    job = job_log(training) if training else None
    if job is None:
        return []
    lines = _first_stream(source.client("logs"), job[0], f"{job[1]}/")
    return [point for line in lines if (point := parse_epoch(line))]


def parse_epoch(line: str) -> dict[str, Any] | None:
    """The metrics of a line that training logs after an epoch; None for other lines."""
    epoch = EPOCH.search(line)
    values = {metric.label: re.search(metric.regex, line) for metric in METRICS}
    found = {label: float(value[1]) for label, value in values.items() if value}
    if epoch is None or not found:
        return None
    return {"phase": epoch["phase"].strip(), "epoch": int(epoch["number"]), **found}


def _first_stream(logs: Any, group: str, prefix: str) -> Iterator[str]:
    """All lines of the first stream with a prefix, oldest first."""
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return
    if not streams:
        return
    request = {"logGroupName": group, "logStreamName": streams[0]["logStreamName"], "limit": N_EVENTS}
    token: dict[str, str] = {}
    while True:
        page = logs.get_log_events(**request, **token, startFromHead=True)
        yield from (event["message"] for event in page["events"])
        following = {"nextToken": page["nextForwardToken"]}
        if following == token or not page["events"]:  # the service repeats the token at the end
            return
        token = following
