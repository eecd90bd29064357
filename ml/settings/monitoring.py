"""Monitoring of the model that serves: metrics that NCFEvaluation publishes, and thresholds of alarms."""

from dataclasses import dataclass
from typing import Optional

from ml.settings.fields import Settings, setting


@dataclass(frozen=True)
class MonitoredMetric:
    """One metric of `evaluation.json`, section `served`.

    Args:
        key: its name in the section.
        name: its name in CloudWatch.
        label: for people.
        threshold: the setting above which its alarm goes into ALARM; None: no alarm.
    """

    key: str
    name: str
    label: str
    threshold: Optional[str] = None


MONITORED_METRICS = (
    MonitoredMetric("hr_at_10", "ServedHR10", "HR@10 of the newest day"),
    MonitoredMetric("ndcg_at_10", "ServedNDCG10", "NDCG@10 of the newest day"),
    MonitoredMetric("ndcg_drop", "ServedNDCG10Drop", "NDCG@10 below the gate's", "max_ndcg_drop"),
    MonitoredMetric("coverage", "ServedCoverage", "items in a list of ten"),
    MonitoredMetric("unknown_user_share", "UnknownUserShare", "unknown users", "max_unknown_user_share"),
    MonitoredMetric("unknown_item_share", "UnknownItemShare", "unknown items", "max_unknown_item_share"),
    MonitoredMetric("popularity_shift", "PopularityShift", "popularity shift", "max_popularity_shift"),
)
ALARMED_METRICS = tuple(metric for metric in MONITORED_METRICS if metric.threshold)


@dataclass(frozen=True)
class MonitoringSettings(Settings):
    """Thresholds of a stage's drift alarms."""

    max_ndcg_drop: float = setting(
        at_least=0,
        at_most=1,
        help="NDCG@10 of the newest day below that of the champion's gate, beyond noise",
    )
    max_popularity_shift: float = setting(
        at_least=0, help="population stability index of the items of the newest day and of the week before"
    )
    max_unknown_user_share: float = setting(
        at_least=0, at_most=1, help="pairs of the newest day with a user that the model does not know"
    )
    max_unknown_item_share: float = setting(
        at_least=0, at_most=1, help="pairs of the newest day with an item that the model does not know"
    )
