"""Airflow operators for EMR job flows: idempotent launch, deferrable wait, error messages with the cause."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any, Never

from airflow.exceptions import AirflowException, AirflowFailException, TaskDeferralError
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.emr import EmrCreateJobFlowOperator
from airflow.providers.amazon.aws.sensors.emr import EmrJobFlowSensor
from airflow.sdk import Context
from botocore.exceptions import BotoCoreError, ClientError

from ncf_preparation.run import step_arguments

ACTIVE_STATES = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
FAILED_STATE = "TERMINATED_WITH_ERRORS"
FAILED_STEP_STATES = ("FAILED", "INTERRUPTED")
JOB_PREFIX = "ml.preparation: "  # start of the job's error message
DRIVER_LOG = "_000001/stdout"  # Spark redirects the standard error of a Python driver to its standard output
MAX_LOG_BYTES = 4 * 2**20


class LaunchJobFlowOnceOperator(EmrCreateJobFlowOperator):
    """Launch the job flow of a run, unless an active one prepares the same run.

    RunJobFlow has no client token: if a worker dies between the call and its response, a retry without this
    check launches a second cluster.
    """

    def execute(self, context: Context) -> str | None:
        """Returns the id of the job flow that prepares the run."""
        running = active_job_flow(self.hook.conn, self.job_flow_overrides)
        if running is None:
            return super().execute(context)
        self.log.info("Job flow %s is already preparing this run", running)
        self._job_flow_id = running  # for on_kill
        return running


class JobFlowSensor(EmrJobFlowSensor):
    """Wait until a job flow has completed; fail with the reason of the failed step."""

    def execute(self, context: Context) -> None:
        """Check once, then defer to the triggerer."""
        try:
            super().execute(context)
        except AirflowException as error:
            self._raise_final_or_retry(error)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> None:
        """Handle the event of the triggerer."""
        try:
            super().execute_complete(context, event)
        except AirflowException as error:
            self._raise_final_or_retry(error)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after the triggerer; the trigger of provider 9.12 fails where later ones send an event."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralError as error:
            trace = "".join((next_kwargs or {}).get("traceback") or [])
            self._raise_final_or_retry(AirflowException(f"{error}: {trace}"))

    def _raise_final_or_retry(self, error: AirflowException) -> Never:
        """Fail without a retry if the job flow failed or timed out; otherwise re-raise the error."""
        emr = self.hook.conn
        state = emr.describe_cluster(ClusterId=self.job_flow_id)["Cluster"]["Status"]["State"]
        if state == FAILED_STATE:
            s3 = S3Hook(aws_conn_id=self.aws_conn_id, config=self.botocore_config).conn
            raise AirflowFailException(failure_of(emr, s3, self.job_flow_id)) from error
        if "max attempts" in str(error):
            limit_s = self.poke_interval * self.max_attempts
            raise AirflowFailException(f"EMR {self.job_flow_id} is {state} after {limit_s:g} s") from error
        raise error


def active_job_flow(emr: Any, document: Mapping[str, Any]) -> str | None:
    """Id of an active job flow with the name and the step arguments of a launch document, or None."""
    expected = step_arguments(document)
    for page in emr.get_paginator("list_clusters").paginate(ClusterStates=list(ACTIVE_STATES)):
        for cluster in page["Clusters"]:
            if cluster["Name"] == document["Name"] and _step_arguments(emr, cluster["Id"]) == expected:
                return str(cluster["Id"])
    return None


def _step_arguments(emr: Any, job_flow_id: str) -> list[list[str]]:
    pages = emr.get_paginator("list_steps").paginate(ClusterId=job_flow_id)
    newest_first = [step["Config"].get("Args", []) for page in pages for step in page["Steps"]]
    return newest_first[::-1]


def failure_of(emr: Any, s3: Any, job_flow_id: str) -> str:
    """Reason of a failed job flow in one line: state, first failed step, message of the job, log URI."""
    status = emr.describe_cluster(ClusterId=job_flow_id)["Cluster"]["Status"]
    change = status.get("StateChangeReason", {})
    parts = [f"EMR {job_flow_id} ended {status['State']}", change.get("Code", ""), change.get("Message", "")]
    steps = emr.list_steps(ClusterId=job_flow_id, StepStates=list(FAILED_STEP_STATES))["Steps"]
    if steps:
        step = steps[-1]  # the newest comes first
        details = step["Status"].get("FailureDetails", {})
        message, log_uri = details.get("Message", ""), details.get("LogFile", "")
        error_line = job_error(s3, log_uri) or driver_error(s3, log_uri)
        parts += [
            f"step {step['Name']} {step['Status']['State']}",
            details.get("Reason", ""),
            message,
            error_line if error_line not in message else "",
            log_uri and f"log {log_uri}",
        ]
    return ": ".join(" ".join(part.split()) for part in parts if part)


def driver_error(s3: Any, log_uri: str) -> str:
    """Error message of the job from the log of its driver; empty if there is none.

    In cluster mode the driver runs in the first container of the application, and the log of the step has
    only the output of spark-submit.
    """
    bucket, _, key = log_uri.removeprefix("s3://").partition("/")
    cluster, found, _ = key.partition("/steps/")
    if not found:
        return ""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{cluster}/containers/")
    try:
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    except (BotoCoreError, ClientError):
        return ""
    found = [job_error(s3, f"s3://{bucket}/{key}") for key in keys if DRIVER_LOG in key]
    return next(filter(None, found), "")


def job_error(s3: Any, log_uri: str) -> str:
    """Error message of the job from a log; empty if the log does not exist, or not yet."""
    bucket, _, key = log_uri.removeprefix("s3://").partition("/")
    if not key:
        return ""
    try:
        found = s3.get_object(Bucket=bucket, Key=key)
        if found["ContentLength"] > MAX_LOG_BYTES:
            return ""
        data = found["Body"].read()
        text = (gzip.decompress(data) if key.endswith(".gz") else data).decode(errors="replace")
    except (BotoCoreError, ClientError, OSError, EOFError):
        return ""  # the failure is reported without the log
    lines = [line for line in text.splitlines() if line.startswith(JOB_PREFIX)]
    return lines[-1] if lines else ""
