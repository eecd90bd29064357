"""Recorded steps check their inputs as the real ones do, and write what was recorded for the run."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.chain.replay import artifact, inference, train
from bench.chain.replay.recorded import INDEX, Recording
from bench.chain.runs import GOOD, TRAIN_FILE, WORSE, run_files, train_sha256
from bench.chain.short_bundle import read_zip, scaled, short_bundle, write_zip
from bench.prepared_runs import mount
from ci.bundle import write_bundle
from ml.manifest import ManifestError

ROOT = Path(__file__).resolve().parents[3]
RUN_ID = "20300102T000000Z"
FILES = run_files()


@pytest.fixture(scope="module")
def recording() -> bytes:
    weights = b"weights"
    info = {
        "model_version": "RUN_ID",
        artifact.RECORDED: GOOD,
        artifact.FILES: {"weights.pt": hashlib.sha256(weights).hexdigest()},
    }
    index = {
        "scale": 0.0,
        "install_s": 1.0,
        "compile_s": 1.0,
        "models": {train_sha256(FILES[GOOD]): {"name": GOOD, "seconds": 2.0, "log": [[1.0, "HR@10=0.5;"]]}},
        "evaluations": {"good-None": {"seconds": 1.0, "log": []}},
    }
    return write_zip(
        {
            INDEX: json.dumps(index).encode(),
            "models/good/weights.pt": weights,
            "models/good/model.json": json.dumps(info).encode(),
            "evaluations/good-None/evaluation.json": b'{"run_id": "RUN_ID"}',
        }
    )


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.replace(b"RUN_ID", RUN_ID.encode()))
    return folder


def train_on(
    files: Mapping[str, bytes], recording: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    (tmp_path / "recording.zip").write_bytes(recording)
    for name, value in mount(write(tmp_path / "run", files), tmp_path / "channels").items():
        monkeypatch.setenv(name, value)
    model = tmp_path / "model"
    train.train(model, tmp_path / "checkpoints", Recording(tmp_path / "recording.zip"))
    return model


def test_training_writes_the_recorded_artifact_of_its_run(
    recording: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = train_on(FILES[GOOD], recording, tmp_path, monkeypatch)
    assert artifact.read(model).info["model_version"] == RUN_ID
    assert "HR@10=0.5;" in capsys.readouterr().out
    assert list((tmp_path / "checkpoints").iterdir())


def test_damaged_run_is_not_trained_on(
    recording: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = {**FILES[GOOD], "items.parquet": FILES[GOOD]["items.parquet"][:-1] + b"?"}
    with pytest.raises(ManifestError, match=r"items\.parquet"):
        train_on(damaged, recording, tmp_path, monkeypatch)
    assert not (tmp_path / "model").exists()


def test_run_that_was_not_recorded_is_an_error(
    recording: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="no training on the split"):
        train_on(FILES[WORSE], recording, tmp_path, monkeypatch)


def test_runs_differ_only_in_their_training_split() -> None:
    different = {name for name in FILES[GOOD] if FILES[GOOD][name] != FILES[WORSE][name]}
    assert {TRAIN_FILE} <= different <= {TRAIN_FILE, "manifest.json", "popularity.parquet"}


def test_damaged_artifact_is_an_error(tmp_path: Path) -> None:
    info = {artifact.FILES: {"weights.pt": hashlib.sha256(b"weights").hexdigest()}, "model_version": RUN_ID}
    (tmp_path / "model.json").write_text(json.dumps({**info, "recorded_files": info[artifact.FILES]}))
    (tmp_path / "weights.pt").write_bytes(b"damaged")
    with pytest.raises(artifact.ArtifactError, match="missing or damaged"):
        artifact.read(tmp_path)
    with pytest.raises(ValueError, match="damaged"):
        inference.model_fn(str(tmp_path))
    (tmp_path / "model.tar.gz").write_bytes(b"damaged")
    with pytest.raises(artifact.ArtifactError, match="cannot be unpacked"):
        artifact.unpack(tmp_path / "model.tar.gz", tmp_path / "unpacked")


def test_jobs_and_build_run_from_the_short_bundle(recording: bytes, tmp_path: Path) -> None:
    """In processes, with nothing but the bundle, as in the containers."""
    write_bundle(ROOT, tmp_path / "source.zip")
    bundle = short_bundle((tmp_path / "source.zip").read_bytes(), recording, '{"Version": "2020-12-01"}')
    source = tmp_path / "source"
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        archive.extractall(source)
    run = write(tmp_path / "run", FILES[GOOD])
    environment = {**mount(run, tmp_path / "channels"), "SM_MODEL_DIR": str(tmp_path / "channels" / "model")}

    def start(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=source,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    start("-m", "pip", "install", "--quiet", "--requirement", "requirements/pipeline.txt")
    start("-c", "import ml.pipeline.__main__")
    compiled = "from ml.pipeline.definition import compile_definition as c; print(c(None, None)['Version'])"
    assert start("-c", compiled).strip() == "2020-12-01"
    assert "HR@10" in start("-m", "ml.ncf.jobs.train", "--preset", "ease")
    assert "evaluate" in start("-m", "ml.ncf.jobs.evaluate", "--help")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "channels" / "model", arcname=".")


def test_scale_of_a_recording_can_be_changed(recording: bytes) -> None:
    other = dict(read_zip(scaled(recording, 0.5)))
    assert json.loads(other[INDEX])["scale"] == 0.5
    assert set(other) == set(dict(read_zip(recording)))
