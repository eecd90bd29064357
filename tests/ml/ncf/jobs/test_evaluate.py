"""The evaluation job: its files, its exit status, the champion of the registry and CloudWatch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import torch
from moto import mock_aws

from ml.contract import METRICS_NAMESPACE
from ml.ncf.data.prepared_run import PreparedRun
from ml.ncf.evaluation.champion import Champion, ChampionError
from ml.ncf.jobs import evaluate
from ml.ncf.model import artifact
from ml.settings.gate import GateSettings
from ml.settings.metrics import GATED_METRICS
from ml.settings.monitoring import MONITORED_METRICS
from tests.ml.ncf.conftest import N_USERS
from tests.ml.ncf.jobs.candidates import change_weights

ZEROS = {metric.key: 0.0 for metric in GATED_METRICS}
MONITORED_AS_ZERO = {metric.key: 0.0 for metric in MONITORED_METRICS} | {"n_pairs": 0}


def report_of(job_input: Path, output: Path, *flags: str, **replaced: Any) -> dict:
    """The report of the job, with other functions than those that find the champion and monitor it."""
    assert evaluate.main(["--input", str(job_input), "--output", str(output), *flags], **replaced) == 0
    return json.loads((output / "evaluation.json").read_text())


def test_trained_model_exceeds_popularity(job_input: Path, tmp_path: Path) -> None:
    report = report_of(job_input, tmp_path / "out")
    assert report["model"]["hr_at_10"] > report["popularity"]["hr_at_10"] + 0.10
    assert report["champion"] is None
    assert report["change"] == ZEROS
    popular = json.loads((tmp_path / "out" / "popular.json").read_text())
    assert popular["model_version"] == report["run_id"]
    assert popular["items"]


def test_metrics_of_the_model_that_serves_are_published_for_the_stage(
    job_input: Path, run: PreparedRun, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = artifact.read(model_dir)
    known = run.splits["train"]
    data = replace(before.data, seen_indptr=known.indptr, seen_indices=known.indices)
    current = Champion("arn:champion", replace(before, data=data), {"ndcg_at_10": 1.0})
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-northeast-2")
    with mock_aws():
        flags = ["--model-package-group", "NCF-dev", "--stage", "dev"]
        report = report_of(job_input, tmp_path / "out", *flags, find=lambda *_: current)
        cloudwatch = boto3.client("cloudwatch", region_name="ap-northeast-2")
        found = cloudwatch.list_metrics(Namespace=METRICS_NAMESPACE)["Metrics"]
    assert report["served"]["n_pairs"] == 2 * N_USERS  # all of validation and test
    assert {each["Dimensions"][0]["Value"] for each in found} == {"dev"}
    # All pairs are of one day: there is no week before.
    published = {metric.name for metric in MONITORED_METRICS} - {"PopularityShift"}
    assert {each["MetricName"] for each in found} == published
    assert "unknown items" in (tmp_path / "out" / "evaluation.html").read_text()


def test_evaluation_goes_on_when_cloudwatch_does_not_answer(
    job_input: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-northeast-2")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    report = report_of(job_input, tmp_path / "out", "--stage", "dev", monitor=lambda *_: MONITORED_AS_ZERO)
    assert "were not published" in report["warnings"][-1]


def test_damaged_archive_gives_one_line_and_no_report(
    job_input: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (job_input / "model/model.tar.gz").write_bytes(b"not a tar")
    assert evaluate.main(["--input", str(job_input), "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "model.tar.gz: cannot be unpacked" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_candidate_with_weights_that_are_not_finite_fails_the_job(
    value: float, job_input: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def diverge(weight: torch.Tensor) -> None:
        weight[0] = value

    change_weights(job_input, "gmf.output", diverge)
    assert evaluate.main(["--input", str(job_input), "--output", str(tmp_path / "out")]) == 1
    assert "values of gmf.output are not finite" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [artifact.ArtifactError, ChampionError])
def test_champion_that_cannot_be_read_counts_as_absent_with_a_warning(
    error: type[Exception], job_input: Path, tmp_path: Path
) -> None:
    def unreadable(group: str, _workspace: Path) -> Champion:
        raise error(f"{group}: unreadable")

    flags = ["--model-package-group", "NCF-dev"]
    report = report_of(job_input, tmp_path / "out", *flags, find=unreadable)
    assert report["warnings"] == ["the champion counts as absent: NCF-dev: unreadable"]
    assert (report["champion"], report["change"]) == (None, ZEROS)


def test_report_with_nan_is_not_written(
    job_input: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    flags = ["--input", str(job_input), "--output", str(tmp_path / "out")]
    assert evaluate.main(flags, monitor=lambda *_: MONITORED_AS_ZERO | {"coverage": torch.nan}) == 1
    assert "not JSON compliant" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_report_has_the_numbers_of_users_with_few_unseen_items(job_input: Path, tmp_path: Path) -> None:
    report = report_of(job_input, tmp_path / "out")
    protocol = report["protocol"]
    assert (protocol["fewest_negatives"], protocol["n_users"]) == (99, N_USERS)
    assert (protocol["n_users_with_fewer_negatives"], protocol["n_users_left_out"]) == (0, 0)
    assert report["warnings"] == []


def test_users_treated_as_new_are_ranked_better_than_by_popularity(job_input: Path, tmp_path: Path) -> None:
    found = report_of(job_input, tmp_path / "out")["new_users"]
    assert found["protocol"] == {"n_pairs": N_USERS, "last_items": 10, "seed": 42}
    assert found["model"]["hr_at_10"] > found["popularity"]["hr_at_10"]
    assert "Users treated as new" in (tmp_path / "out/evaluation.html").read_text(encoding="utf-8")


def test_first_model_passes_the_gate_by_its_floors(job_input: Path, tmp_path: Path) -> None:
    keys = [metric.key for metric in GATED_METRICS]
    gate = GateSettings(floors=dict.fromkeys(keys, 0.1), tolerance=dict.fromkeys(keys, 0.0))
    report = report_of(job_input, tmp_path / "out", "--gate", gate.to_json())
    assert (report["gate"]["adopted"], report["gate"]["decision"]) == (True, "adopted: no champion")


def test_invalid_gate_fails_the_job_with_its_name(
    job_input: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert evaluate.main(["--input", str(job_input), "--output", str(tmp_path), "--gate", "{}"]) == 1
    assert capsys.readouterr().err.startswith("evaluation: ")
