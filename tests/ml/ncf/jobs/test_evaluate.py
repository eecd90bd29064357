from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
import torch

from ml.ncf.data.prepared_run import read_run
from ml.ncf.evaluation import champion
from ml.ncf.jobs import evaluate
from ml.ncf.model import artifact


@pytest.fixture
def job_input(prepared_run: Path, model_dir: Path, tmp_path: Path) -> Path:
    """The job's input folder: a channel of the run each, and the candidate."""
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


def report_of(job_input: Path, output: Path, *flags: str) -> dict:
    assert evaluate.main(["--input", str(job_input), "--output", str(output), *flags]) == 0
    return json.loads((output / "evaluation.json").read_text())


def test_a_model_that_learnt_the_tastes_beats_popularity(job_input: Path, tmp_path: Path) -> None:
    report = report_of(job_input, tmp_path / "out")
    assert report["model"]["hr_at_10"] > report["popularity"]["hr_at_10"] + 0.10
    assert report["champion"] is None
    assert report["change"] == {"hr_at_10": 0.0, "ndcg_at_10": 0.0}


def test_the_change_is_candidate_less_champion(
    job_input: Path, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = artifact.read(model_dir)
    torch.nn.init.zeros_(blind.model.gmf.item_embedding.weight)
    monkeypatch.setattr(champion, "find", lambda group, workspace: champion.Champion("arn:champion", blind))
    report = report_of(job_input, tmp_path / "out", "--model-package-group", "NCF-dev")
    assert report["champion"] == {"model_package_arn": "arn:champion", "hr_at_10": 0.0, "ndcg_at_10": 0.0}
    assert report["change"] == report["model"]


def test_a_model_is_matched_by_id_not_by_index(prepared_run: Path, model_dir: Path) -> None:
    run = read_run(lambda name: prepared_run / name if (prepared_run / name).is_dir() else prepared_run)
    model = artifact.read(model_dir)
    candidates = evaluate.Candidates(torch.tensor([0, 1]), torch.tensor([[5, 9], [2, 7]]))
    before = evaluate.scores_by_id(model, run, candidates)
    catalogue = model.catalogue
    gmf = model.model.gmf
    for ids, table in (("user_ids", gmf.user_input.embedding), ("item_ids", gmf.item_embedding)):
        object.__setattr__(catalogue, ids, getattr(catalogue, ids)[::-1].copy())
        table.weight.data = table.weight.data.flip(0)
    assert torch.equal(evaluate.scores_by_id(model, run, candidates), before)


def test_an_item_that_a_model_does_not_know_scores_below_every_other(
    prepared_run: Path, model_dir: Path
) -> None:
    run = read_run(lambda name: prepared_run / name if (prepared_run / name).is_dir() else prepared_run)
    model = artifact.read(model_dir)
    model.catalogue.item_ids[5] = "gone"
    scores = evaluate.scores_by_id(model, run, evaluate.Candidates(torch.tensor([0]), torch.tensor([[5, 9]])))
    assert scores[0, 0] == -torch.inf


def test_a_damaged_archive_is_one_line_and_no_report(
    job_input: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (job_input / "model/model.tar.gz").write_bytes(b"not a tar")
    assert evaluate.main(["--input", str(job_input), "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "model.tar.gz: cannot be unpacked" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_over_the_catalogue_only_what_a_user_has_not_seen_competes(
    prepared_run: Path, model_dir: Path
) -> None:
    run = read_run(lambda name: prepared_run / name if (prepared_run / name).is_dir() else prepared_run)
    model = artifact.read(model_dir)
    hits, shown = [], set()
    for user, held_out in zip(run.splits["test"].users, run.splits["test"].indices, strict=True):
        scores = model.model.score_catalogue(torch.tensor([int(user)]))[0].tolist()
        seen = {*run.splits["train"].of(user).tolist(), *run.splits["validation"].of(user).tolist()}
        unseen = sorted(set(range(run.n_items)) - seen, key=lambda item: -scores[item])
        hits.append(held_out in unseen[:10])
        shown |= set(unseen[:10])
    found = evaluate.whole_catalogue(model, run)
    assert found["hr_at_10"] == pytest.approx(sum(hits) / len(hits))
    assert found["coverage_at_10"] == pytest.approx(len(shown) / run.n_items)
