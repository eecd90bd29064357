"""Checks every quarter of an hour whether the run of the last night was prepared and trained in time.

Writes the metrics ``PreparationOverdue`` and ``TrainingOverdue``, 0 or 1, in CloudWatch's embedded metric
format. It looks for the run's ``_SUCCESS`` object and pipeline execution, so that the run may be launched by
Airflow, EventBridge Scheduler or an operator. An execution whose candidate lost at the quality gate has
succeeded.

Environment:
    DATA_BUCKET, PREPARED_PREFIX: bucket and key prefix of the runs, such as ``prepared/``.
    PIPELINE_NAME: SageMaker pipeline that trains on the runs.
    PREPARED_BY_HOUR, TRAINED_BY_HOUR: deadlines, hours of the day.
    DEADLINE_TIMEZONE: IANA time zone of the hours.
    STAGE_NAME, METRICS_NAMESPACE: dimension and namespace of the metrics.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import ClientError
from logic import Deadline, run_id_at, run_of_execution, run_of_key

DATA_BUCKET = os.environ["DATA_BUCKET"]
PREPARED_PREFIX = os.environ["PREPARED_PREFIX"]
PIPELINE_NAME = os.environ["PIPELINE_NAME"]
TIMEZONE = ZoneInfo(os.environ["DEADLINE_TIMEZONE"])
PREPARED_BY = Deadline(int(os.environ["PREPARED_BY_HOUR"]), TIMEZONE)
TRAINED_BY = Deadline(int(os.environ["TRAINED_BY_HOUR"]), TIMEZONE)
STAGE_NAME = os.environ["STAGE_NAME"]
METRICS_NAMESPACE = os.environ["METRICS_NAMESPACE"]
PREPARATION_METRIC, TRAINING_METRIC = "PreparationOverdue", "TrainingOverdue"
MISSING_PIPELINE_CODES = ("ResourceNotFound", "ResourceNotFoundException", "ValidationException")

logger = Logger(service="check_runs")
config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
s3 = boto3.client("s3", config=config)
sagemaker = boto3.client("sagemaker", config=config)


@logger.inject_lambda_context
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, bool]:
    """Write the metrics; returns them by name."""
    now = datetime.now(UTC)
    overdue = {
        PREPARATION_METRIC: PREPARED_BY.is_missed(_prepared_runs(now), now),
        TRAINING_METRIC: TRAINED_BY.is_missed(_trained_runs(now), now),
    }
    metrics = EphemeralMetrics(namespace=METRICS_NAMESPACE)
    metrics.add_dimension(name="Stage", value=STAGE_NAME)
    for name, is_overdue in overdue.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=int(is_overdue))
    metrics.flush_metrics()
    logger.info("checked", extra=overdue)
    return overdue


def _prepared_runs(now: datetime) -> Iterator[str]:
    """Complete runs that are not too old to count; their keys are in the order of their run ids."""
    oldest = run_id_at(PREPARED_BY.oldest_start(now))
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=DATA_BUCKET, Prefix=PREPARED_PREFIX, StartAfter=f"{PREPARED_PREFIX}run={oldest}"
    )
    for page in pages:
        for item in page.get("Contents", []):
            if run_id := run_of_key(item["Key"], PREPARED_PREFIX):
                yield run_id


def _trained_runs(now: datetime) -> Iterator[str]:
    """Runs with an execution that has succeeded, of those that are not too old to count."""
    pages = sagemaker.get_paginator("list_pipeline_executions").paginate(
        PipelineName=PIPELINE_NAME,
        CreatedAfter=TRAINED_BY.oldest_start(now),
        SortBy="CreationTime",
        SortOrder="Descending",
    )
    try:
        for page in pages:
            for summary in page["PipelineExecutionSummaries"]:
                run_id = run_of_execution(summary.get("PipelineExecutionDisplayName", ""))
                if run_id and summary["PipelineExecutionStatus"] == "Succeeded":
                    yield run_id
    except ClientError as error:
        if error.response["Error"]["Code"] not in MISSING_PIPELINE_CODES:
            raise  # before its first run, a stage has no pipeline
