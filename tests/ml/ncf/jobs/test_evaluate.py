from __future__ import annotations

import html
import json
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
import torch
from moto import mock_aws

from ml.contract import METRICS_NAMESPACE, RANDOM_SPLIT
from ml.ncf.data.prepared_run import PreparedRun, read_run
from ml.ncf.evaluation import evaluation_page
from ml.ncf.evaluation.champion import Champion, ChampionError
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.evaluation.held_out import HeldOut
from ml.ncf.evaluation.matched_model import MatchedModel
from ml.ncf.jobs import evaluate, evaluation_report
from ml.ncf.model import artifact
from ml.ncf.model.finite import NotFiniteError
from ml.ncf.model.ids import IdMap
from ml.settings.gate import GateSettings
from ml.settings.metrics import GATED_METRICS
from ml.settings.monitoring import MONITORED_METRICS
from tests.ml.ncf.conftest import N_USERS

ZEROS = {metric.key: 0.0 for metric in GATED_METRICS}


@pytest.fixture
def job_input(prepared_run: Path, model_dir: Path, tmp_path: Path) -> Path:
    """The input folder of the job: the channels of the run, and the candidate."""
    folder = tmp_path / "input"
    for split in ("train", "validation", "test"):
        (folder / split).parent.mkdir(exist_ok=True)
        (folder / split).symlink_to(prepared_run / split)
    for name in ("users", "items", "popularity", "manifest"):
        (folder / name).symlink_to(prepared_run)
    (folder / "model").mkdir()
    with tarfile.open(folder / "model/model.tar.gz", "w:gz") as tar:
        tar.add(model_dir, arcname=".")
    return folder


def run_in(folder: Path) -> PreparedRun:
    """The prepared run in a folder that holds its files and the folders of its splits."""
    return read_run(lambda name: folder / name if (folder / name).is_dir() else folder)


def report_of(job_input: Path, output: Path, *flags: str) -> dict:
    assert evaluate.main(["--input", str(job_input), "--output", str(output), *flags]) == 0
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
    job_input: Path, prepared_run: Path, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = artifact.read(model_dir)
    known = run_in(prepared_run).splits["train"]
    data = replace(before.data, seen_indptr=known.indptr, seen_indices=known.indices)
    current = Champion("arn:champion", replace(before, data=data), {"ndcg_at_10": 1.0})
    monkeypatch.setattr(evaluate, "find_champion", lambda *_: (current, []))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-northeast-2")
    with mock_aws():
        report = report_of(job_input, tmp_path / "out", "--model-package-group", "NCF-dev", "--stage", "dev")
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
    shift = {metric.key: 0.0 for metric in MONITORED_METRICS}
    monkeypatch.setattr(evaluation_report, "served_report", lambda *_: shift | {"n_pairs": 0})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-northeast-2")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    report = report_of(job_input, tmp_path / "out", "--stage", "dev")
    assert "were not published" in report["warnings"][-1]


def test_change_is_candidate_minus_champion(
    job_input: Path, prepared_run: Path, model_dir: Path, tmp_path: Path
) -> None:
    constant = artifact.read(model_dir)
    torch.nn.init.zeros_(constant.model.gmf.item_embedding.weight)
    report = evaluation_report.evaluate(
        job_input, run_in(prepared_run), tmp_path, Champion("arn:champion", constant)
    )
    assert report["champion"] == {"model_package_arn": "arn:champion", **ZEROS}
    assert report["change"] == report["model"]


def test_model_is_matched_by_id_not_by_index(prepared_run: Path, model_dir: Path) -> None:
    run = run_in(prepared_run)
    model = artifact.read(model_dir)
    evaluation_set = EvaluationSet(torch.tensor([0, 1]), torch.tensor([[5, 9], [2, 7]]))
    before = MatchedModel(model, run).scores(evaluation_set)
    for table in (model.model.gmf.user_input.embedding, model.model.gmf.item_embedding):
        table.weight.data = table.weight.data.flip(0)
    flipped = replace(
        model.data,
        user_ids=IdMap.of(model.data.user_ids.tolist()[::-1]),
        item_ids=IdMap.of(model.data.item_ids.tolist()[::-1]),
    )
    after = MatchedModel(replace(model, data=flipped), run).scores(evaluation_set)
    assert torch.equal(after, before)


def test_unknown_item_scores_minus_infinity(prepared_run: Path, model_dir: Path) -> None:
    run = run_in(prepared_run)
    model = artifact.read(model_dir)
    ids = ["gone" if n == 5 else each for n, each in enumerate(model.data.item_ids.tolist())]
    model = replace(model, data=replace(model.data, item_ids=IdMap.of(ids)))
    scores = MatchedModel(model, run).scores(EvaluationSet(torch.tensor([0]), torch.tensor([[5, 9]])))
    assert scores[0, 0] == -torch.inf


def test_damaged_archive_gives_one_line_and_no_report(
    job_input: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (job_input / "model/model.tar.gz").write_bytes(b"not a tar")
    assert evaluate.main(["--input", str(job_input), "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "model.tar.gz: cannot be unpacked" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def diverged(model_dir: Path, value: float) -> artifact.Artifact:
    """The model with one item's weights so large, or undefined, that its scores are not finite."""
    model = artifact.read(model_dir)
    with torch.no_grad():
        model.model.gmf.item_embedding.weight[7] = value
    return model


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 3e38])
def test_candidate_with_scores_that_are_not_finite_is_not_evaluated(
    value: float, job_input: Path, prepared_run: Path, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, run = diverged(model_dir, value), run_in(prepared_run)
    with pytest.raises(NotFiniteError, match="scores are not finite"):
        MatchedModel(bad, run).catalogue_scores(torch.tensor([0]))
    monkeypatch.setattr(artifact, "read", lambda _: bad)
    with pytest.raises(NotFiniteError, match="scores are not finite"):
        evaluation_report.evaluate(job_input, run, job_input.parent / "work")


def test_candidate_with_weights_that_are_not_finite_fails_the_job(
    job_input: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with tarfile.open(job_input / "model/model.tar.gz") as tar:
        tar.extractall(tmp_path / "bad", filter="data")
    weights = torch.load(tmp_path / "bad/weights.pt", weights_only=True)
    weights["gmf.output"][0] = torch.nan
    torch.save(weights, tmp_path / "bad/weights.pt")
    with tarfile.open(job_input / "model/model.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "bad", arcname=".")
    assert evaluate.main(["--input", str(job_input), "--output", str(tmp_path / "out")]) == 1
    assert "values of gmf.output are not finite" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [torch.nan, -torch.inf, 3e38])
def test_champion_with_scores_that_are_not_finite_counts_as_absent_with_a_warning(
    value: float, job_input: Path, prepared_run: Path, model_dir: Path, tmp_path: Path
) -> None:
    bad = Champion("arn:champion", diverged(model_dir, value))
    report = evaluation_report.evaluate(job_input, run_in(prepared_run), tmp_path, bad)
    assert (report["champion"], report["change"]) == (None, ZEROS)
    (warning,) = report["warnings"]
    assert warning.startswith("the champion counts as absent: arn:champion: ")
    assert warning.endswith("scores are not finite")


@pytest.mark.parametrize("error", [artifact.ArtifactError, ChampionError])
def test_champion_that_cannot_be_read_counts_as_absent_with_a_warning(
    error: type[Exception], job_input: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(group: str, _workspace: Path) -> Champion:
        raise error(f"{group}: unreadable")

    monkeypatch.setattr(evaluate.champion, "find", unreadable)
    report = report_of(job_input, tmp_path / "out", "--model-package-group", "NCF-dev")
    assert report["warnings"] == ["the champion counts as absent: NCF-dev: unreadable"]
    assert (report["champion"], report["change"]) == (None, ZEROS)


def test_report_with_nan_is_not_written(
    job_input: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(evaluate, "evaluate", lambda *_, **__: {"model": {"hr_at_10": torch.nan}})
    assert evaluate.main(["--input", str(job_input), "--output", str(tmp_path / "out")]) == 1
    assert "not JSON compliant" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_report_has_the_numbers_of_users_with_few_unseen_items(job_input: Path, tmp_path: Path) -> None:
    report = report_of(job_input, tmp_path / "out")
    protocol = report["protocol"]
    assert (protocol["fewest_negatives"], protocol["n_users"]) == (99, N_USERS)
    assert (protocol["n_users_with_fewer_negatives"], protocol["n_users_left_out"]) == (0, 0)
    assert report["warnings"] == []


def test_report_says_that_the_held_out_events_are_random(
    job_input: Path, prepared_run: Path, tmp_path: Path
) -> None:
    run = replace(run_in(prepared_run), split_rule=RANDOM_SPLIT)
    (warning,) = evaluation_report.evaluate(job_input, run, tmp_path)["warnings"]
    assert "no time" in warning
    assert "weaker" in warning


def test_whole_catalogue_ranks_among_unseen_items_only(prepared_run: Path, model_dir: Path) -> None:
    run = run_in(prepared_run)
    model = artifact.read(model_dir)
    hits, recommended = [], set()
    for user, held_out in zip(run.splits["test"].users, run.splits["test"].indices, strict=True):
        scores = model.model.score_catalogue(torch.tensor([int(user)]))[0].tolist()
        seen = {*run.splits["train"].of(user).tolist(), *run.splits["validation"].of(user).tolist()}
        unseen = sorted(set(range(run.n_items)) - seen, key=lambda item: -scores[item])
        hits.append(held_out in unseen[:10])
        recommended |= set(unseen[:10])
    held_out = HeldOut.of(run, seed=42)
    found = held_out.catalogue_report({"model": held_out.rank(MatchedModel(model, run))})["model"]
    assert found["hr_at_10"] == pytest.approx(sum(hits) / len(hits))
    assert found["coverage_at_10"] == pytest.approx(len(recommended) / run.n_items)


def test_users_and_items_that_the_champion_lacks_are_ranked_as_in_serving(
    prepared_run: Path, model_dir: Path
) -> None:
    run, model = run_in(prepared_run), artifact.read(model_dir)
    whole = MatchedModel(model, run).catalogue_scores(torch.tensor([0, 1]))
    users = ["gone" if n == 1 else each for n, each in enumerate(model.data.user_ids.tolist())]
    items = ["gone" if n == 5 else each for n, each in enumerate(model.data.item_ids.tolist())]
    lacking = replace(model, data=replace(model.data, user_ids=IdMap.of(users), item_ids=IdMap.of(items)))
    found = MatchedModel(lacking, run).catalogue_scores(torch.tensor([0, 1]))
    assert found[:, 5].tolist() == [-torch.inf, -torch.inf]
    kept = torch.arange(run.n_items) != 5
    assert torch.equal(found[0, kept], whole[0, kept])
    assert torch.equal(found[1, kept], torch.from_numpy(run.popularity).float()[kept])


def test_page_compares_candidate_and_champion_in_all_and_by_segment(
    job_input: Path, prepared_run: Path, model_dir: Path, tmp_path: Path
) -> None:
    current = Champion("arn:champion", artifact.read(model_dir))
    report = evaluation_report.evaluate(job_input, run_in(prepared_run), tmp_path, current)
    for section in (report, report["whole_catalogue"]):
        assert section["change"] == dict.fromkeys(section["change"], 0.0)
        assert section["intervals"]["change"]["ndcg_at_10"] == [0.0, 0.0]
        assert section["segments"]["light"]["champion"] == section["segments"]["light"]["model"]
    text = evaluation_page.render(report)
    assert not re.search(r"https?:|src=|href=|url\(|@import", text)
    assert text.count("candidate − champion") == 4  # both protocols: all users, and the only segment with any
    assert "0.0000 (0.0000 to 0.0000)" in text


def test_users_treated_as_new_are_ranked_better_than_by_popularity(job_input: Path, tmp_path: Path) -> None:
    found = report_of(job_input, tmp_path / "out")["new_users"]
    assert found["protocol"] == {"n_pairs": N_USERS, "last_items": 10, "seed": 42}
    assert found["model"]["hr_at_10"] > found["popularity"]["hr_at_10"]
    assert "Users treated as new" in (tmp_path / "out/evaluation.html").read_text(encoding="utf-8")


def gate_of(tolerance: float) -> GateSettings:
    keys = [metric.key for metric in GATED_METRICS]
    return GateSettings(floors=dict.fromkeys(keys, 0.1), tolerance=dict.fromkeys(keys, tolerance))


def test_gate_rejects_a_candidate_that_is_worse_than_the_champion(
    job_input: Path, prepared_run: Path, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion, worse = artifact.read(model_dir), artifact.read(model_dir)
    with torch.no_grad():
        weights = worse.model.gmf.item_embedding.weight
        weights += 2 * weights.std() * torch.randn(weights.shape, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(artifact, "read", lambda _: worse)
    run = run_in(prepared_run)
    report = evaluation_report.evaluate(
        job_input, run, tmp_path, Champion("arn", champion), gate=gate_of(0.0)
    )
    gate = report["gate"]
    assert not gate["adopted"]
    assert "worse than the champion's beyond noise" in gate["decision"]
    # Of one sample of the negatives, and in expectation over all.
    assert gate["metrics"]["ndcg_at_10"]["change"] == pytest.approx(report["change"]["ndcg_at_10"], abs=0.03)
    assert html.escape(gate["decision"]) in evaluation_page.render(report)


def test_first_model_passes_the_gate_by_its_floors(job_input: Path, tmp_path: Path) -> None:
    report = report_of(job_input, tmp_path / "out", "--gate", gate_of(0.0).to_json())
    assert (report["gate"]["adopted"], report["gate"]["decision"]) == (True, "adopted: no champion")


def test_invalid_gate_fails_the_job_with_its_name(
    job_input: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert evaluate.main(["--input", str(job_input), "--output", str(tmp_path), "--gate", "{}"]) == 1
    assert capsys.readouterr().err.startswith("evaluation: ")
