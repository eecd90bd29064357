"""Metrics of a model: names, printed labels, parsing regexes, and which metrics the quality gate checks.

To add a metric to the gate: add its record here, and its function to the evaluation.
"""

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Metric:
    """One metric.

    Args:
        key: its name in evaluation.json, in model.json and in the stage's `floors` and `tolerance`.
        label: its name in the lines that training prints and in SageMaker: ``HR@10=0.7012;``.
        regex: how SageMaker parses those lines.
        is_gated: the quality gate compares it with a floor and with the champion. A gated metric is between 0
            and 1, and higher is better.
        default_floor: the floor of a stage whose config does not set one; None: every stage has to set it.
            Filled in by `ml.settings.fields.read`, not by the constructor of `TrainingSettings`.
        default_tolerance: the same for the tolerance.
    """

    key: str
    label: str
    regex: str
    is_gated: bool = False
    default_floor: Optional[float] = None
    default_tolerance: Optional[float] = None


CUTOFF = 10  # k of HR@k and NDCG@k: length of the ranked list
METRICS = (
    Metric(f"hr_at_{CUTOFF}", f"HR@{CUTOFF}", rf"HR@{CUTOFF}=([0-9.]+)", is_gated=True),
    Metric(f"ndcg_at_{CUTOFF}", f"NDCG@{CUTOFF}", rf"NDCG@{CUTOFF}=([0-9.]+)", is_gated=True),
    Metric("loss", "Loss", r"Loss=([0-9.eE+-]+)"),
)
GATED_METRICS = tuple(metric for metric in METRICS if metric.is_gated)
