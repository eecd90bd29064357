"""Decision of the quality gate: floors, and no metric worse than the champion's beyond noise (ADR 36).

Both models rank the same held-out items, and the differences are resampled by user: a paired bootstrap. The
differences are those of the sampled protocol in expectation over the negatives. A candidate is worse beyond
noise if, at the confidence of the stage, even the upper bound of the difference is below minus the tolerance.
The pipeline's condition tests `margin`, a number, at least 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ml.ncf.evaluation import bootstrap
from ml.ncf.evaluation.comparison import CANDIDATE, CHAMPION, CHANGE, Comparison
from ml.settings.gate import GateSettings
from ml.settings.metrics import GATED_METRICS

N_RESAMPLES = 2000


def decide(
    quality: Mapping[str, Mapping[str, float]], paired: Comparison, settings: GateSettings
) -> dict[str, Any]:
    """The decision, its reason, and a line per gated metric.

    Without a champion, only the floors apply.

    Args:
        quality: metrics of the candidate in the sampled protocol, and of the champion if there is one.
        paired: expected values of the same models per pair.
        settings: of the stage.

    Returns:
        `adopted`; `margin`, the smallest distance of a value from its threshold, at least 0 if adopted;
        `decision`, one sentence; `metrics`, each with `floor` and, beside a champion, `change` with its
        bounds; and `lines`, the same as text.
    """
    changes = paired.means().get(CHANGE, {})
    bounds = change_bounds(paired, settings.gate_confidence)
    found: dict[str, dict[str, Any]] = {}
    for key in (metric.key for metric in GATED_METRICS):
        value, floor = quality[CANDIDATE][key], settings.floors[key]
        found[key] = {"value": value, "floor": floor, "reaches_floor": value >= floor}
        if key in bounds:
            lower, upper = bounds[key]
            tolerance = settings.tolerance[key]
            found[key] |= {
                CHAMPION: quality[CHAMPION][key],
                CHANGE: changes[key],
                "bounds": [lower, upper],
                "tolerance": tolerance,
                "is_worse": upper < -tolerance,
            }
    margin = min(_margin(of) for of in found.values())
    return {
        "adopted": margin >= 0,
        "margin": margin,
        "decision": _decision(found),
        "confidence": settings.gate_confidence,
        "resamples": N_RESAMPLES,
        "seed": paired.seed,
        "metrics": found,
        "lines": [_line(key, of, settings.gate_confidence) for key, of in found.items()],
    }


def change_bounds(paired: Comparison, confidence: float) -> dict[str, list[float]]:
    """Lower and upper one-sided confidence bound of each metric's change; empty without a champion."""
    changes = paired.changes()
    if not changes:
        return {}
    columns = np.stack([each.double().numpy() for each in changes.values()], axis=1)
    means = bootstrap.resampled_means(paired.users, columns, np.random.default_rng(paired.seed), N_RESAMPLES)
    bounds = np.quantile(means, [1 - confidence, confidence], axis=0).T
    return {key: [float(each) for each in pair] for key, pair in zip(changes, bounds, strict=True)}


def _margin(of: Mapping[str, Any]) -> float:
    margin: float = of["value"] - of["floor"]
    return min(margin, of["bounds"][1] + of["tolerance"]) if "bounds" in of else margin


def _decision(found: Mapping[str, Mapping[str, Any]]) -> str:
    below = [key for key, of in found.items() if not of["reaches_floor"]]
    worse = [key for key, of in found.items() if of.get("is_worse")]
    if not below and not worse:
        compared = "no metric is worse than the champion's beyond noise"
        return f"adopted: {compared if any(CHANGE in of for of in found.values()) else 'no champion'}"
    reasons = [f"{' and '.join(below)} below the floor"] if below else []
    reasons += [f"{' and '.join(worse)} worse than the champion's beyond noise"] if worse else []
    return f"rejected: {'; '.join(reasons)}"


def _line(key: str, of: Mapping[str, Any], confidence: float) -> str:
    text = f"{key} {of['value']:.4f}, floor {of['floor']:.4f}: {_verdict(of['reaches_floor'])}"
    if CHANGE not in of:
        return f"{text}; no champion"
    lower, upper = of["bounds"]
    return (
        f"{text}; champion {of[CHAMPION]:.4f}, change {of[CHANGE]:+.4f} (bounds {lower:+.4f} and "
        f"{upper:+.4f} at {confidence:.0%}), tolerance {of['tolerance']:.4f}: {_verdict(not of['is_worse'])}"
    )


def _verdict(passed: bool) -> str:
    return "passed" if passed else "FAILED"
