from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ml.ncf.data.prepared_run import PreparedRun, read_run
from ml.ncf.evaluation.champion import Champion
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.jobs import evaluate
from ml.ncf.model import artifact
from ml.settings.metrics import GATED_METRICS

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


def test_change_is_candidate_minus_champion(
    job_input: Path, prepared_run: Path, model_dir: Path, tmp_path: Path
) -> None:
    constant = artifact.read(model_dir)
    torch.nn.init.zeros_(constant.model.gmf.item_embedding.weight)
    report = evaluate.evaluate(job_input, run_in(prepared_run), tmp_path, Champion("arn:champion", constant))
    assert report["champion"] == {"model_package_arn": "arn:champion", **ZEROS}
    assert report["change"] == report["model"]


def test_model_is_matched_by_id_not_by_index(prepared_run: Path, model_dir: Path) -> None:
    run = run_in(prepared_run)
    model = artifact.read(model_dir)
    evaluation_set = EvaluationSet(torch.tensor([0, 1]), torch.tensor([[5, 9], [2, 7]]))
    before = evaluate.scores_by_id(model, run, evaluation_set)
    for table in (model.model.gmf.user_input.embedding, model.model.gmf.item_embedding):
        table.weight.data = table.weight.data.flip(0)
    flipped = replace(
        model.data, user_ids=model.data.user_ids[::-1].copy(), item_ids=model.data.item_ids[::-1].copy()
    )
    after = evaluate.scores_by_id(replace(model, data=flipped), run, evaluation_set)
    assert torch.equal(after, before)


def test_unknown_item_scores_minus_infinity(prepared_run: Path, model_dir: Path) -> None:
    run = run_in(prepared_run)
    model = artifact.read(model_dir)
    model.data.item_ids[5] = "gone"
    scores = evaluate.scores_by_id(model, run, EvaluationSet(torch.tensor([0]), torch.tensor([[5, 9]])))
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
    found = evaluate.whole_catalogue(model, run)
    assert found["hr_at_10"] == pytest.approx(sum(hits) / len(hits))
    assert found["coverage_at_10"] == pytest.approx(len(recommended) / run.n_items)
