"""EASE, trained, evaluated and served by the same jobs, artifact and inference code as NCF."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from bench import prepared_runs as prepared
from ml.ncf.jobs import evaluate, train
from ml.ncf.model.ease import MAX_ITEMS
from ml.serving import inference
from ml.serving.request import Instance
from ml.settings.metrics import GATED_METRICS
from tests.ml.ncf.serving_process import serve


@pytest.fixture(scope="module")
def ease_dir(channels: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked artifact of an EASE training, refitted on train and validation."""
    folder = tmp_path_factory.mktemp("ease")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in channels.items():
            patch.setenv(name, value)
        folders = ["--model-dir", str(folder / "model"), "--output-data-dir", str(folder / "output/data")]
        assert train.main(["--preset", "ease", "--ease-l2", "5", *folders]) == 0
    return folder / "model"


def test_artifact_names_the_family_and_the_validation_metrics(ease_dir: Path) -> None:
    info = json.loads((ease_dir / "model.json").read_text(), parse_constant=pytest.fail)  # NaN is not JSON
    assert (info["family"], info["hyperparameters"]["architecture"]) == ("ease", "ease")
    assert info["metrics"]["hr_at_10"] > 0.2  # of random ranks: 0.1
    assert info["metrics"]["loss"] is None


def test_evaluation_report_of_ease_has_the_values_that_the_gate_reads(
    ease_dir: Path, prepared_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "input"
    (folder / "model").mkdir(parents=True)
    with tarfile.open(folder / "model/model.tar.gz", "w:gz") as tar:
        tar.add(ease_dir, arcname=".")
    for split in ("train", "validation", "test"):
        (folder / split).symlink_to(prepared_run / split)
    for name in ("users", "items", "popularity", "manifest"):
        (folder / name).symlink_to(prepared_run)
    assert evaluate.main(["--input", str(folder), "--output", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert report["model"]["hr_at_10"] > report["popularity"]["hr_at_10"] + 0.10
    assert set(report["change"]) == {metric.key for metric in GATED_METRICS}
    assert report["whole_catalogue"]["model"]["hr_at_10"] > 0


def test_inference_serves_ease(ease_dir: Path) -> None:
    model = inference.model_fn(str(ease_dir))
    (prediction,) = inference.predict_fn([Instance("u5")], model)["predictions"]
    scores = [item["score"] for item in prediction["items"]]
    assert len(scores) == 10
    assert scores == sorted(scores, reverse=True)


def test_code_in_the_artifact_serves_ease_in_a_clean_process(ease_dir: Path) -> None:
    assert len(serve(ease_dir)["predictions"][0]["items"]) == 10


def test_catalogue_above_the_limit_fails_the_job_with_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    n_users, n_items = 100, MAX_ITEMS + 1
    items = np.arange(n_items)
    splits = prepared.leave_last_two_out(np.stack([items % n_users, items], axis=1))
    run = prepared.write_run(tmp_path / "run", splits, n_users, n_items)
    for name, value in prepared.mount(run, tmp_path / "channels").items():
        monkeypatch.setenv(name, value)
    folders = ["--model-dir", str(tmp_path / "model"), "--output-data-dir", str(tmp_path / "output/data")]
    assert train.main(["--preset", "ease", *folders]) == 1
    error = capsys.readouterr().err
    limit = f"training: architecture ease supports at most {MAX_ITEMS} items, the catalogue has {n_items}: "
    assert error.startswith(limit)
    assert error.count("\n") == 1
