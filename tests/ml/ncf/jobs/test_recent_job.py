"""NCF with the MLP over recent items: trained, evaluated and served by the jobs of all families."""

from __future__ import annotations

import html
import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from bench import prepared_runs as prepared
from ml.ncf.jobs import evaluate, train
from ml.serving import inference
from ml.serving.recent_items import RecentItem
from ml.serving.request import Instance
from tests.ml.ncf.serving_process import serve

N_USERS, N_ITEMS, LENGTH = 150, 120, 12
FLAGS = ["--epochs", "4", "--pointwise-epochs", "4", "--factor-num", "8", "--pointwise-factor-num", "8"]
FLAGS += ["--ease-factor-num", "0"]  # EASE alone ranks such a shop perfectly, and leaves nothing to the MLP


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared run of users who visit an item and then the next ones, and the artifact trained on it."""
    folder = tmp_path_factory.mktemp("recent")
    starts = np.random.default_rng(0).integers(N_ITEMS, size=N_USERS)
    items = (np.repeat(starts, LENGTH) + np.tile(np.arange(LENGTH), N_USERS)) % N_ITEMS
    pairs = np.stack([np.repeat(np.arange(N_USERS), LENGTH), items], axis=1)
    run = prepared.write_run(folder / "run", prepared.leave_last_two_out(pairs), N_USERS, N_ITEMS)
    (folder / "input/model").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        for split in ("train", "validation", "test"):
            patch.setenv(f"SM_CHANNEL_{split.upper()}", str(run / split))
            (folder / "input" / split).symlink_to(run / split)
        for name in ("users", "items", "popularity", "manifest"):
            patch.setenv(f"SM_CHANNEL_{name.upper()}", str(run))
            (folder / "input" / name).symlink_to(run)
        folders = ["--model-dir", str(folder / "model"), "--output-data-dir", str(folder / "output/data")]
        assert train.main(["--preset", "neumf-recent", *FLAGS, *folders]) == 0
    with tarfile.open(folder / "input/model/model.tar.gz", "w:gz") as tar:
        tar.add(folder / "model", arcname=".")
    return folder


def test_report_says_in_one_sentence_that_the_mlp_is_used(run_dir: Path) -> None:
    assert json.loads((run_dir / "model/model.json").read_text())["family"] == "ncf-recent"
    assert "The MLP over recent items is used" in (run_dir / "output/data/report.html").read_text()


def test_evaluation_scores_known_and_new_users(run_dir: Path, tmp_path: Path) -> None:
    assert evaluate.main(["--input", str(run_dir / "input"), "--output", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert report["model"]["hr_at_10"] > report["popularity"]["hr_at_10"] + 0.3


def test_evaluation_says_which_parts_are_used_and_by_how_much(run_dir: Path, tmp_path: Path) -> None:
    assert evaluate.main(["--input", str(run_dir / "input"), "--output", str(tmp_path)]) == 0
    parts, mlp = json.loads((tmp_path / "evaluation.json").read_text())["training_notes"]
    assert re.fullmatch(
        r"Parts in use, and what each adds to validation NDCG@10: gmf.* [+-]0\.\d{4}.*\.", parts
    )
    assert mlp.startswith("The MLP over recent items is used")
    pages = [path.read_text() for path in tmp_path.glob("*.html")]
    assert all(html.escape(note) in page for page in pages for note in (parts, mlp))
    assert pages


def test_inference_serves_known_users_and_sessions(run_dir: Path) -> None:
    model = inference.model_fn(str(run_dir / "model"))
    session = Instance("nobody", recent_items=(RecentItem("i4"), RecentItem("i5"), RecentItem("i6")))
    known, new = inference.predict_fn([Instance("u5"), session], model)["predictions"]
    assert len(known["items"]) == 10
    assert new["strategy"] == "session"
    assert "i7" in [item["item_id"] for item in new["items"]]
    assert len(serve(run_dir / "model")["predictions"][0]["items"]) == 10
