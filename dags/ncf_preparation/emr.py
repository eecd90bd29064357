"""Job flows of Amazon EMR: launched once a run, waited for without a worker, failing with their reason."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any, Never

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.emr import EmrCreateJobFlowOperator
from airflow.providers.amazon.aws.sensors.emr import EmrJobFlowSensor
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import BotoCoreError, ClientError

from ncf_preparation.run import step_arguments

ACTIVE_STATES = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
FAILED_STATE = "TERMINATED_WITH_ERRORS"
FAILED_STEP_STATES = ("FAILED", "INTERRUPTED")
JOB_PREFIX = "ml.preparation: "  # what the job's own last word begins with
DRIVER_LOG = "_000001/stdout"  # Spark sends a Python driver's standard error to its own output
LONGEST_LOG_BYTES = 4 * 2**20


class LaunchJobFlowOnceOperator(EmrCreateJobFlowOperator):
    """Creates a run's job flow, unless one is at work on that very run.

    RunJobFlow takes no client token: after a worker that died between the call and its answer, the next try
    would launch a second cluster.
    """

    def execute(self, context: Context) -> str | None:
        """The id of the job flow that prepares the run."""
        running = active_job_flow(self.hook.conn, self.job_flow_overrides)
        if running is None:
            return super().execute(context)
        self.log.info("Job flow %s already prepares this run", running)
        self._job_flow_id = running  # for on_kill
        return running


class JobFlowSensor(EmrJobFlowSensor):
    """Waits until a job flow has ended well; one that has not fails the run with the step's own reason."""

    def execute(self, context: Context) -> None:
        """Look once, then leave the waiting to the triggerer."""
        try:
            super().execute(context)
        except AirflowException as error:
            self._give_up_or_retry(error)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> None:
        """What the triggerer found."""
        try:
            super().execute_complete(context, event)
        except AirflowException as error:
            self._give_up_or_retry(error)

    def _give_up_or_retry(self, error: AirflowException) -> Never:
        """Only a look that failed is worth another try: a job flow that failed stays so."""
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
    """The job flow that is at work on just what a launch document asks for, if there is one."""
    wanted = step_arguments(document)
    for page in emr.get_paginator("list_clusters").paginate(ClusterStates=list(ACTIVE_STATES)):
        for cluster in page["Clusters"]:
            if cluster["Name"] == document["Name"] and _step_arguments(emr, cluster["Id"]) == wanted:
                return str(cluster["Id"])
    return None


def _step_arguments(emr: Any, job_flow_id: str) -> list[list[str]]:
    pages = emr.get_paginator("list_steps").paginate(ClusterId=job_flow_id)
    newest_first = [step["Config"].get("Args", []) for page in pages for step in page["Steps"]]
    return newest_first[::-1]


def failure_of(emr: Any, s3: Any, job_flow_id: str) -> str:
    """Why a job flow failed, in one line: the first failed step's own word, else what EMR says."""
    status = emr.describe_cluster(ClusterId=job_flow_id)["Cluster"]["Status"]
    change = status.get("StateChangeReason", {})
    parts = [f"EMR {job_flow_id} ended {status['State']}", change.get("Code", ""), change.get("Message", "")]
    steps = emr.list_steps(ClusterId=job_flow_id, StepStates=list(FAILED_STEP_STATES))["Steps"]
    if steps:
        step = steps[-1]  # the newest comes first
        details = step["Status"].get("FailureDetails", {})
        message, log_uri = details.get("Message", ""), details.get("LogFile", "")
        word = last_word(s3, log_uri) or driver_word(s3, log_uri)
        parts += [
            f"step {step['Name']} {step['Status']['State']}",
            details.get("Reason", ""),
            message,
            word if word not in message else "",
            log_uri and f"log {log_uri}",
        ]
    return ": ".join(" ".join(part.split()) for part in parts if part)


def driver_word(s3: Any, log_uri: str) -> str:
    """The job's own error line in its driver's log; in cluster mode that is an application's first container.

    The step's own log then only has what spark-submit saw of it.
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
    words = [last_word(s3, f"s3://{bucket}/{key}") for key in keys if DRIVER_LOG in key]
    return next(filter(None, words), "")


def last_word(s3: Any, log_uri: str) -> str:
    """The job's own error line in a step's log; empty when the log is not there, or not there yet."""
    bucket, _, key = log_uri.removeprefix("s3://").partition("/")
    if not key:
        return ""
    try:
        found = s3.get_object(Bucket=bucket, Key=key)
        if found["ContentLength"] > LONGEST_LOG_BYTES:
            return ""
        data = found["Body"].read()
        text = (gzip.decompress(data) if key.endswith(".gz") else data).decode(errors="replace")
    except (BotoCoreError, ClientError, OSError, EOFError):
        return ""  # the reason stands without its log
    lines = [line for line in text.splitlines() if line.startswith(JOB_PREFIX)]
    return lines[-1] if lines else ""
