"""Alarms on the model that serves and on the newest day's interactions (ADR 30)."""

from __future__ import annotations

import pulumi

from components.alarm import Threshold, metric_alarm
from ml import contract
from ml.settings.monitoring import ALARMED_METRICS, MonitoringSettings

HOUR_S = 3600


def drift_alarms(
    stage_name: str,
    settings: MonitoringSettings,
    topic_arn: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> None:
    """One alarm per monitored metric that has a threshold.

    A run publishes each metric once: without data the alarm keeps its state, until the next run.
    """
    for metric in ALARMED_METRICS:
        threshold = getattr(settings, str(metric.threshold))
        metric_alarm(
            f"drift-{metric.key.replace('_', '-')}",
            Threshold(
                namespace=contract.METRICS_NAMESPACE,
                metric=metric.name,
                dimensions={contract.STAGE_DIMENSION: stage_name},
                statistic="Maximum",
                above=threshold,
                period_s=HOUR_S,
                missing="ignore",
                description=f"Drift: {metric.label} above {threshold:g}. See `served` in the evaluation.json "
                "of the newest run.",
            ),
            topic_arn,
            opts,
        )
