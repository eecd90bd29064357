from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml.ncf.evaluation import gate
from ml.ncf.evaluation.comparison import Comparison
from ml.settings.gate import GateSettings
from ml.settings.metrics import GATED_METRICS

N_USERS = 500
KEYS = [metric.key for metric in GATED_METRICS]


def settings(floor: float = 0.0, tolerance: float = 0.0) -> GateSettings:
    return GateSettings(
        floors=dict.fromkeys(KEYS, floor), tolerance=dict.fromkeys(KEYS, tolerance), gate_confidence=0.95
    )


def comparison(candidate: np.ndarray, champion: np.ndarray | None = None) -> Comparison:
    models = {"model": candidate} | ({} if champion is None else {"champion": champion})
    values = {name: dict.fromkeys(KEYS, torch.from_numpy(each)) for name, each in models.items()}
    return Comparison(np.arange(len(candidate)), values, seed=0)


def decide(compared: Comparison, thresholds: GateSettings) -> dict[str, Any]:
    return gate.decide(compared.means(), compared, thresholds)


def noisy(mean: float, seed: int = 0, deviation: float = 0.2) -> np.ndarray:
    """Values of users around a mean, which is exact."""
    drawn = np.random.default_rng(seed).normal(0.0, deviation, N_USERS)
    return drawn - drawn.mean() + mean


def test_first_model_is_adopted_if_it_reaches_the_floors() -> None:
    found = decide(comparison(noisy(0.4)), settings(floor=0.39))
    assert (found["adopted"], found["decision"]) == (True, "adopted: no champion")
    assert found["margin"] == pytest.approx(0.01)
    assert found["lines"][0].endswith("floor 0.3900: passed; no champion")


def test_value_below_its_floor_is_rejected_whatever_the_champion() -> None:
    found = decide(comparison(noisy(0.4), noisy(0.1, seed=1)), settings(floor=0.41))
    assert not found["adopted"]
    assert found["decision"] == f"rejected: {' and '.join(KEYS)} below the floor"
    assert "FAILED; champion 0.1000, change +0.3000" in found["lines"][0]


# A difference deviates by 0.2 * 2 ** 0.5, so that its standard error is 0.0126, and 1.645 of them are 0.021.
@pytest.mark.parametrize(("change", "adopted"), [(0.01, True), (0.0, True), (-0.015, True), (-0.028, False)])
def test_model_is_rejected_only_if_it_is_worse_beyond_noise(change: float, adopted: bool) -> None:
    found = decide(comparison(noisy(0.4 + change), noisy(0.4, seed=1)), settings())
    assert found["adopted"] is adopted
    lower, upper = found["metrics"]["ndcg_at_10"]["bounds"]
    assert (lower, upper) == pytest.approx((change - 0.021, change + 0.021), abs=0.003)
    assert found["metrics"]["ndcg_at_10"]["is_worse"] is not adopted


def test_paired_differences_have_less_noise_than_the_models() -> None:
    champion = noisy(0.4)
    found = decide(comparison(champion - 0.003 + noisy(0.0, 1, 0.01), champion), settings())
    assert found["decision"] == f"rejected: {' and '.join(KEYS)} worse than the champion's beyond noise"
    assert decide(comparison(champion - 0.003 + noisy(0.0, 1, 0.01), champion), settings(0, 0.004))["adopted"]


@pytest.mark.parametrize("worse", KEYS)
def test_one_metric_that_is_worse_than_the_champions_rejects_the_model(worse: str) -> None:
    champion = torch.from_numpy(noisy(0.4))
    candidate = {key: champion - 0.05 if key == worse else champion for key in KEYS}
    values = {"model": candidate, "champion": dict.fromkeys(KEYS, champion)}
    found = decide(Comparison(np.arange(N_USERS), values, seed=0), settings())
    assert not found["adopted"]
    assert found["margin"] == pytest.approx(-0.05)
    assert found["decision"] == f"rejected: {worse} worse than the champion's beyond noise"


@pytest.mark.parametrize("low", KEYS)
def test_one_metric_below_its_floor_rejects_the_model(low: str) -> None:
    values = {key: torch.from_numpy(noisy(0.38 if key == low else 0.4)) for key in KEYS}
    found = decide(Comparison(np.arange(N_USERS), {"model": values}, seed=0), settings(floor=0.39))
    assert found["margin"] == pytest.approx(-0.01)
    assert found["decision"] == f"rejected: {low} below the floor"


def test_equal_models_are_adopted_without_tolerance() -> None:
    found = decide(comparison(noisy(0.4), noisy(0.4)), settings())
    assert (found["adopted"], found["margin"]) == (True, 0.0)


@given(
    st.floats(-0.1, 0.1),
    st.floats(0.3, 0.5),
    st.floats(0, 0.05),
    st.integers(0, 2**16),
    st.sampled_from([5, 60]),
)
def test_margin_that_the_pipeline_tests_is_the_decision(
    change: float, floor: float, tolerance: float, seed: int, n_users: int
) -> None:
    candidate, champion = noisy(0.4 + change, seed)[:n_users], noisy(0.4, seed + 1)[:n_users]
    found = decide(comparison(candidate, champion), settings(floor, tolerance))
    each = found["metrics"].values()
    assert found["adopted"] == (found["margin"] >= 0)
    assert found["adopted"] == all(of["reaches_floor"] and not of["is_worse"] for of in each)
    assert found["decision"].startswith("adopted" if found["adopted"] else "rejected")
