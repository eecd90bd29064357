from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from bench import prepared_runs as prepared
from ml.ncf.data.prepared_run import read_run
from ml.ncf.jobs import train
from ml.ncf.model import artifact
from ml.serving import inference
from ml.serving.request import Instance
from ml.settings import hyperparameters
from ml.settings.metrics import METRICS
from tests.ml.ncf.conftest import N_ITEMS, N_USERS

QUICK = ["--epochs", "1", "--batch-size", "64", "--factor-num", "4", "--mlp-factor-num", "4"]


class Job:
    """A training job with its folders."""

    def __init__(self, root: Path, channels: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.model = root / "model"
        self.output = root / "output"
        (self.output / "data").mkdir(parents=True)
        monkeypatch.setenv("SM_MODEL_DIR", str(self.model))
        monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(self.output / "data"))
        for name, value in channels.items():
            monkeypatch.setenv(name, value)

    def run(self, *flags: str) -> int:
        return train.main([*QUICK, *flags])


@pytest.fixture
def job(tmp_path: Path, channels: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Job:
    return Job(tmp_path, channels, monkeypatch)


def job_on(splits: dict, n_items: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    run = prepared.write_run(tmp_path / "run", splits, N_USERS, n_items)
    return Job(tmp_path, prepared.mount(run, tmp_path / "channels"), monkeypatch)


def assert_failed_naming(job: Job, text: str, capsys: pytest.CaptureFixture) -> None:
    line = capsys.readouterr().err
    assert text in line
    assert line.count("\n") == 1
    assert (job.output / "failure").read_text() == line.rstrip("\n")
    assert not job.model.exists()


def test_each_epoch_logs_a_line_that_the_metric_definitions_parse(
    job: Job, capsys: pytest.CaptureFixture
) -> None:
    assert job.run("--epochs", "2") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("HR@10=")]
    assert len(lines) == 2
    for regex in (metric.regex for metric in METRICS):
        assert all(float(re.search(regex, line)[1]) >= 0 for line in lines)


def test_artifact_records_run_version_and_settings(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCF_CODE_VERSION", "v7")
    assert job.run() == 0
    info = json.loads((job.model / "model.json").read_text())
    assert (info["run_id"], info["model_version"], info["code_version"]) == (
        prepared.RUN_ID,
        prepared.RUN_ID,
        "v7",
    )
    assert info["model"]["n_users"] == N_USERS
    assert info["hyperparameters"]["epochs"] == 1


def test_equal_seeds_give_equal_bytes(job: Job, tmp_path: Path) -> None:
    assert job.run() == 0
    first = {p.name: p.read_bytes() for p in job.model.iterdir() if p.is_file()}
    shutil.rmtree(job.model)
    assert job.run() == 0
    assert {p.name: p.read_bytes() for p in job.model.iterdir() if p.is_file()} == first


def test_test_split_reaches_the_artifact_as_seen_items_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = prepared.grouped_shop(N_USERS, N_ITEMS)
    known = {(user, item) for name in ("train", "validation") for user, item in splits[name].tolist()}
    others = [
        next((user, each) for each in range(item + 1, N_ITEMS + item) if (user, each % N_ITEMS) not in known)
        for user, item in splits["test"].tolist()
    ]
    changed = {**splits, "test": np.array(others) % (N_USERS, N_ITEMS)}
    written = []
    for name, of_run in (("one", splits), ("other", changed)):
        job = job_on(of_run, N_ITEMS, tmp_path / name, monkeypatch)
        assert job.run("--preset", "gmf", "--epochs", "2", "--pointwise-epochs", "2") == 0
        written.append(job.model)
    for file in ("weights.pt", "session.pt", "arrays/popularity.npy"):
        one, other = ((folder / file).read_bytes() for folder in written)
        assert one == other, file
    one, other = (json.loads((folder / "model.json").read_text()) for folder in written)
    differing = {name for name in one["checksums"] if one["checksums"][name] != other["checksums"][name]}
    assert differing <= {"arrays/seen_indices.npy", "arrays/seen_indptr.npy"}
    assert one | {"checksums": None} == other | {"checksums": None}
    one, other = ((folder / "arrays/seen_indices.npy").read_bytes() for folder in written)
    assert one != other


def test_run_id_other_than_the_manifest_is_warned_about(job: Job, capsys: pytest.CaptureFixture) -> None:
    assert job.run("--run-id", "20270101T000000Z") == 0
    assert "warning: the manifest is of run" in capsys.readouterr().out
    assert json.loads((job.model / "model.json").read_text())["model_version"] == "20270101T000000Z"


def test_print_plan_prints_the_phases_without_data(capsys: pytest.CaptureFixture) -> None:
    assert train.main(["--preset", "gmf", "--print-plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["gmf", "gmf-pointwise", "fused"]


def test_log_starts_with_the_plan(job: Job, capsys: pytest.CaptureFixture) -> None:
    assert job.run() == 0
    lines = capsys.readouterr().out.splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith("phase "))
    assert lines[header + 1].startswith("neumf ")
    assert not any(line.startswith("HR@10=") for line in lines[: header + 2])


def test_defaults_are_those_of_the_aws_post() -> None:
    settings = hyperparameters.parse([])
    assert (settings.epochs, settings.lr, settings.batch_size, settings.top_k) == (10, 0.001, 256, 10)
    assert (settings.dropout, settings.factor_num, settings.num_layers) == (0.3, 32, 3)
    assert (settings.architecture, settings.objective, settings.n_negatives) == ("neumf", "bce", 4)


@pytest.mark.parametrize("preset", hyperparameters.PRESETS)
def test_every_preset_is_valid(preset: str) -> None:
    settings = hyperparameters.parse(["--preset", preset])
    assert asdict(settings).items() >= hyperparameters.PRESETS[preset].items()


def test_flags_with_hyphens_or_underscores_override_the_preset() -> None:
    settings = hyperparameters.parse(["--preset", "gmf", "--batch_size", "7", "--factor-num", "9"])
    assert (settings.batch_size, settings.factor_num, settings.objective) == (7, 9, "softmax")


@pytest.mark.parametrize("name", ["epochs", "pointwise_epochs", "mlp_epochs"])
def test_part_needs_at_least_one_epoch(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is 0: write a whole number of at least 1$"):
        hyperparameters.parse(["--preset", "neumf", f"--{name}", "0"])


def test_missing_channel_is_named(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.delenv("SM_CHANNEL_VALIDATION")
    assert job.run() == 1
    assert_failed_naming(job, "channel 'validation' is missing", capsys)


def test_index_outside_the_maps_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    splits = prepared.grouped_shop(N_USERS, N_ITEMS)
    splits["train"][3] = (5, N_ITEMS + 6)
    job = job_on(splits, N_ITEMS, tmp_path, monkeypatch)
    assert job.run() == 1
    assert_failed_naming(job, f"split 'train': item_index {N_ITEMS + 6} is outside", capsys)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_empty_split_is_named(
    split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    splits = prepared.grouped_shop(N_USERS, N_ITEMS)
    splits[split] = splits[split][:0]
    job = job_on(splits, N_ITEMS, tmp_path, monkeypatch)
    assert job.run() == 1
    assert_failed_naming(job, f"split {split!r}: empty", capsys)


@pytest.mark.parametrize("objective", ["bce", "row-bce", "softmax"])
def test_one_user_with_every_item_does_not_fail_training(
    objective: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = prepared.grouped_shop(N_USERS, N_ITEMS)
    everything = np.stack([np.full(N_ITEMS, 17), np.arange(N_ITEMS)], axis=1)
    splits["train"] = np.concatenate([splits["train"], everything])
    job = job_on(splits, N_ITEMS, tmp_path, monkeypatch)
    assert job.run("--objective", objective) == 0
    model = inference.model_fn(str(job.model))
    answers = inference.predict_fn([Instance("u17"), Instance("u3")], model)
    assert [len(each["items"]) for each in answers["predictions"]] == [0, 10]


def test_one_user_with_nearly_every_item_does_not_change_the_validation_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: dict[str, str]
) -> None:
    """The number of negatives was that of the user with the fewest unseen items, for all users."""
    splits = prepared.grouped_shop(N_USERS, N_ITEMS)
    most = np.stack([np.full(N_ITEMS - 2, 17), np.arange(N_ITEMS - 2)], axis=1)
    splits["train"] = np.concatenate([splits["train"], most])
    run = prepared.write_run(tmp_path / "run", splits, N_USERS, N_ITEMS)
    for name, value in prepared.mount(run, tmp_path / "channels").items():
        monkeypatch.setenv(name, value)
    validation = train.training_data(read_run(train.channel), hyperparameters.parse([])).validation
    assert validation.n_negatives.tolist().count(99) == N_USERS - 1
    assert validation.fewest_negatives <= 2


def test_no_validation_negative_is_newer_than_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = prepared.grouped_shop(N_USERS, N_ITEMS)
    splits["train"] = splits["train"][splits["train"][:, 1] < N_ITEMS - 5]  # the last items come later
    run = prepared.write_run(tmp_path / "run", splits, N_USERS, N_ITEMS)
    for name, value in prepared.mount(run, tmp_path / "channels").items():
        monkeypatch.setenv(name, value)
    read = read_run(train.channel)
    validation = train.training_data(read, hyperparameters.parse([])).validation
    held_out = read.splits["validation"]
    first = read.splits["train"].union(held_out).first_times()
    assert (first > held_out.times[0]).any()
    for row, user in enumerate(validation.users.tolist()):
        count = 99 if validation.n_negatives is None else int(validation.n_negatives[row])
        assert (first[validation.items[row, 1 : 1 + count].numpy()] <= held_out.times[user]).all()


def test_users_and_items_of_earlier_runs_are_not_in_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Id maps are never shortened: they have u120 and i125, which have no event in this run."""
    run = prepared.write_run(
        tmp_path / "run", prepared.grouped_shop(N_USERS, N_ITEMS), N_USERS + 5, N_ITEMS + 9
    )
    job = Job(tmp_path, prepared.mount(run, tmp_path / "channels"), monkeypatch)
    assert job.run() == 0
    data = artifact.read(job.model).data
    assert data is not None
    assert data.user_ids.tolist() == [f"u{n}" for n in range(N_USERS)]
    assert set(data.item_ids.tolist()) <= {f"i{n}" for n in range(N_ITEMS)}
    model = inference.model_fn(str(job.model))
    answers = inference.predict_fn([Instance("u120"), Instance("u3")], model)
    assert [each["strategy"] for each in answers["predictions"]] == ["popular", "ncf"]


def test_too_few_items_for_k_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    pairs = np.array([(user, item) for user in range(N_USERS) for item in rng.permutation(10)[:5]])
    job = job_on(prepared.leave_last_two_out(pairs), 10, tmp_path, monkeypatch)
    assert job.run() == 1
    assert_failed_naming(job, "10 items: at least 11", capsys)


def test_file_that_differs_from_the_manifest_is_named(
    tmp_path: Path, channels: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    copied = tmp_path / "users"
    shutil.copytree(channels["SM_CHANNEL_USERS"], copied)
    with (copied / "users.parquet").open("ab") as stream:
        stream.write(b"x")
    job = Job(tmp_path, {**channels, "SM_CHANNEL_USERS": str(copied)}, monkeypatch)
    assert job.run() == 1
    assert_failed_naming(job, "users.parquet: ", capsys)


def test_loss_that_is_not_finite_fails_the_job_with_its_step(job: Job, capsys: pytest.CaptureFixture) -> None:
    assert job.run("--preset", "gmf", "--embedding-std", "1e25") == 1
    assert_failed_naming(job, "epoch 1, step 1: the loss is", capsys)


def test_scores_that_are_not_finite_fail_the_job_with_their_epoch(
    job: Job, capsys: pytest.CaptureFixture
) -> None:
    """One step with an excessive learning rate: loss and weights are finite, the scores overflow."""
    flags = ["--preset", "gmf", "--batch-size", "1000", "--lr", "1e25", "--schedule", "constant"]
    assert job.run(*flags) == 1
    assert_failed_naming(job, "gmf: epoch 1: ", capsys)
