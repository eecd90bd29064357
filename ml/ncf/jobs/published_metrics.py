"""Metrics of the model that serves, published to CloudWatch for the stage's drift alarms."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ml.contract import METRICS_NAMESPACE, STAGE_DIMENSION
from ml.settings.monitoring import MONITORED_METRICS

CLIENT_CONFIG = Config(
    connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4}
)


def publish(served: Mapping[str, Any] | None, stage: str) -> str | None:
    """Publish the values of a report's section `served`; returns a warning if CloudWatch refuses them.

    A value that is not known is left out: the alarm keeps its state.
    """
    data = [
        {
            "MetricName": metric.name,
            "Dimensions": [{"Name": STAGE_DIMENSION, "Value": stage}],
            "Value": float(served[metric.key]),
        }
        for metric in MONITORED_METRICS
        if served and served[metric.key] is not None and math.isfinite(served[metric.key])
    ]
    if not data:
        return None
    region = os.environ.get("AWS_REGION")  # SageMaker sets it; botocore reads AWS_DEFAULT_REGION only
    try:
        client = boto3.client("cloudwatch", region_name=region, config=CLIENT_CONFIG)
        client.put_metric_data(Namespace=METRICS_NAMESPACE, MetricData=data)
    except (BotoCoreError, ClientError) as error:
        return f"the metrics of the model that serves were not published: {error}"
    return None
