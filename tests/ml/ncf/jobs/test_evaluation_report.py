"""Content of `evaluation.json`: the candidate against champion, baselines and the gate's thresholds."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ml.contract import RANDOM_SPLIT
from ml.ncf.data.prepared_run import PreparedRun
from ml.ncf.evaluation import evaluation_page
from ml.ncf.evaluation.champion import Champion
from ml.ncf.jobs.evaluation_report import evaluate
from ml.ncf.model import artifact
from ml.ncf.model.finite import NotFiniteError
from ml.settings.gate import GateSettings
from ml.settings.metrics import GATED_METRICS
from tests.ml.ncf.jobs.candidates import change_weights, diverged

ZEROS = {metric.key: 0.0 for metric in GATED_METRICS}


def test_change_is_candidate_minus_champion(
    job_input: Path, run: PreparedRun, model_dir: Path, tmp_path: Path
) -> None:
    constant = artifact.read(model_dir)
    torch.nn.init.zeros_(constant.model.gmf.item_embedding.weight)
    report = evaluate(job_input, run, tmp_path, Champion("arn:champion", constant))
    assert report["champion"] == {"model_package_arn": "arn:champion", **ZEROS}
    assert report["change"] == report["model"]


def test_candidate_with_scores_that_are_not_finite_is_not_evaluated(
    job_input: Path, run: PreparedRun, tmp_path: Path
) -> None:
    def diverge(weight: torch.Tensor) -> None:
        weight[7] = 3e38

    change_weights(job_input, "gmf.item_embedding.weight", diverge)
    with pytest.raises(NotFiniteError, match="scores are not finite"):
        evaluate(job_input, run, tmp_path)


@pytest.mark.parametrize("value", [torch.nan, -torch.inf, 3e38])
def test_champion_with_scores_that_are_not_finite_counts_as_absent_with_a_warning(
    value: float, job_input: Path, run: PreparedRun, model_dir: Path, tmp_path: Path
) -> None:
    bad = Champion("arn:champion", diverged(model_dir, value))
    report = evaluate(job_input, run, tmp_path, bad)
    assert (report["champion"], report["change"]) == (None, ZEROS)
    (warning,) = report["warnings"]
    assert warning.startswith("the champion counts as absent: arn:champion: ")
    assert warning.endswith("scores are not finite")


def test_report_says_that_the_held_out_events_are_random(
    job_input: Path, run: PreparedRun, tmp_path: Path
) -> None:
    run = replace(run, split_rule=RANDOM_SPLIT)
    (warning,) = evaluate(job_input, run, tmp_path)["warnings"]
    assert "no time" in warning
    assert "weaker" in warning


def test_page_compares_candidate_and_champion_in_all_and_by_segment(
    job_input: Path, run: PreparedRun, model_dir: Path, tmp_path: Path
) -> None:
    current = Champion("arn:champion", artifact.read(model_dir))
    report = evaluate(job_input, run, tmp_path, current)
    for section in (report, report["whole_catalogue"]):
        assert section["change"] == dict.fromkeys(section["change"], 0.0)
        assert section["intervals"]["change"]["ndcg_at_10"] == [0.0, 0.0]
        assert section["segments"]["light"]["champion"] == section["segments"]["light"]["model"]
    text = evaluation_page.render(report)
    assert not re.search(r"https?:|src=|href=|url\(|@import", text)
    assert text.count("candidate − champion") == 4  # both protocols: all users, and the only segment with any
    assert "0.0000 (0.0000 to 0.0000)" in text


def gate_of(tolerance: float) -> GateSettings:
    keys = [metric.key for metric in GATED_METRICS]
    return GateSettings(floors=dict.fromkeys(keys, 0.1), tolerance=dict.fromkeys(keys, tolerance))


def test_gate_rejects_a_candidate_that_is_worse_than_the_champion(
    job_input: Path, run: PreparedRun, model_dir: Path, tmp_path: Path
) -> None:
    def worsen(weight: torch.Tensor) -> None:
        noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
        weight += 2 * weight.std() * noise

    change_weights(job_input, "gmf.item_embedding.weight", worsen)
    current = Champion("arn", artifact.read(model_dir))
    report = evaluate(job_input, run, tmp_path, current, gate=gate_of(0.0))
    gate = report["gate"]
    assert not gate["adopted"]
    assert "worse than the champion's beyond noise" in gate["decision"]
    # Of one sample of the negatives, and in expectation over all.
    assert gate["metrics"]["ndcg_at_10"]["change"] == pytest.approx(report["change"]["ndcg_at_10"], abs=0.03)
    assert html.escape(gate["decision"]) in evaluation_page.render(report)
