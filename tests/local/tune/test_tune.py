"""The search of hyperparameters on a small prepared run, with EASE: a trial takes milliseconds."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from bench.prepared_runs import grouped_shop, locate, write_run
from local.errors import BadInputError
from local.tune import command
from local.tune.command import TuneOptions
from local.tune.data import read_for_tuning
from local.tune.space import space_of
from local.tune.study import Search, code_digest, settings_of
from ml.manifest import ManifestError
from ml.ncf.data.prepared_run import PreparedRun, read_run
from ml.ncf.training.plan import training_plan
from ml.settings import hyperparameters
from ml.settings.hyperparameters import PRESETS

N_USERS, N_ITEMS = 120, 120
SECOND = 1 / 60  # of minutes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared run without the files of its test split."""
    run = write_run(tmp_path_factory.mktemp("run"), grouped_shop(N_USERS, N_ITEMS), N_USERS, N_ITEMS)
    shutil.rmtree(run / "test")
    return run


@pytest.fixture(scope="module")
def prepared(folder: Path) -> PreparedRun:
    return read_for_tuning(folder)


@pytest.fixture
def options(folder: Path, tmp_path: Path) -> TuneOptions:
    return TuneOptions(
        stage="dev",
        data=folder,
        job_options=(),
        preset="ease",
        minutes=SECOND / 8,
        seed=3,
        output=tmp_path / "tune",
    )


def search_of(
    prepared: PreparedRun, storage: Path, lines: list[str], seed: int = 3, code: str = "code"
) -> Search:
    return Search(prepared, {"preset": "ease"}, seed=seed, storage=storage, code=code, report=lines.append)


def values_of(search: Search) -> list[float]:
    return [trial.params["ease_l2"] for trial in search.study.trials]


def test_search_never_opens_the_test_split(folder: Path, prepared: PreparedRun) -> None:
    assert set(prepared.splits) == {"train", "validation"}
    assert len(prepared.seen()) == len(prepared.splits["train"]) + len(prepared.splits["validation"])
    with pytest.raises(ManifestError, match="test/part"):
        read_run(locate(folder))


def test_search_goes_on_where_it_ended_with_other_values(prepared: PreparedRun, tmp_path: Path) -> None:
    storage, lines = tmp_path / "studies.db", []
    first = search_of(prepared, storage, lines)
    while len(first.study.trials) < 4:
        first.run(SECOND / 8)
    before = values_of(first)
    assert before[0] == PRESETS["ease"].get("ease_l2", 500.0)
    second = search_of(prepared, storage, lines)
    while len(second.study.trials) < len(before) + 4:
        second.run(SECOND / 8)
    after = values_of(second)
    assert after[: len(before)] == before
    assert len(set(after)) == len(after) > len(before)
    assert any(line.startswith(f"continues a search with {len(before)} trials") for line in lines)


def test_search_of_other_data_seed_or_code_is_another_one(prepared: PreparedRun, tmp_path: Path) -> None:
    smaller = replace(prepared, splits={**prepared.splits, "train": prepared.splits["validation"]})
    searches = [
        search_of(prepared, tmp_path / "studies.db", []),
        search_of(smaller, tmp_path / "studies.db", []),
        search_of(prepared, tmp_path / "studies.db", [], seed=4),
        search_of(prepared, tmp_path / "studies.db", [], code="other code"),
    ]
    assert len({each.study.study_name for each in searches}) == 4


def test_digest_of_the_code_changes_with_any_module_of_the_training(tmp_path: Path) -> None:
    (tmp_path / "ml/ncf/training").mkdir(parents=True)
    (tmp_path / "ml/settings").mkdir()
    digests = [code_digest(tmp_path)]
    for name in ("ml/ncf/training/loop.py", "ml/ncf/training/plan.py", "ml/settings/hyperparameters.py"):
        (tmp_path / name).write_text("EPOCHS = 1")
        digests.append(code_digest(tmp_path))
    (tmp_path / "ml/settings/hyperparameters.py").write_text("EPOCHS = 2")
    digests.append(code_digest(tmp_path))
    assert len(set(digests)) == len(digests)
    (tmp_path / "ml/ncf/notes.txt").write_text("not code")
    assert code_digest(tmp_path) == digests[-1]


def test_command_continues_trials_of_the_same_code_only(options: TuneOptions, prepared: PreparedRun) -> None:
    command.run(options, print)
    storage = options.output / command.STORAGE_FILE
    same = search_of(prepared, storage, [], code=code_digest(command.ROOT))
    other = search_of(prepared, storage, [])
    assert same.study.get_trials(states=[TrialState.COMPLETE])
    assert not other.study.get_trials(states=[TrialState.COMPLETE])


@pytest.mark.parametrize(
    ("preset", "n_items", "is_searched"),
    [
        ("neumf-recent", 5000, True),
        ("neumf", 800, True),
        ("neumf-recent", 50_000, False),
        ("gmf", 800, False),
    ],
)
def test_rank_and_regularisation_of_ease_are_searched_where_it_is_a_part(
    preset: str, n_items: int, *, is_searched: bool
) -> None:
    space = space_of(settings_of({"preset": preset}, 1), n_items)
    assert ({"ease_factor_num", "ease_l2"} <= space.keys()) is is_searched
    assert is_searched or not {"ease_factor_num", "ease_l2"} & space.keys()


@pytest.mark.parametrize("name", ["times", "weights"])
def test_search_of_other_times_or_weights_is_another_one(
    prepared: PreparedRun, tmp_path: Path, name: str
) -> None:
    train = prepared.splits["train"]
    changed = replace(train, **{name: getattr(train, name)[::-1] + 1})
    other = replace(prepared, splits={**prepared.splits, "train": changed})
    one, another = (search_of(each, tmp_path / "studies.db", []) for each in (prepared, other))
    assert one.study.study_name != another.study.study_name


def test_trial_of_a_killed_process_does_not_stop_the_search(prepared: PreparedRun, tmp_path: Path) -> None:
    storage = tmp_path / "studies.db"
    search_of(prepared, storage, []).study.ask()  # started, and never told
    again = search_of(prepared, storage, [])
    states = [trial.state for trial in again.study.trials]
    assert states == [TrialState.FAIL, TrialState.WAITING]
    proposal = again.run(0)
    assert proposal.n_trials == 1
    assert again.study.trials[-1].user_attrs["values"] == {"preset": "ease"}


def test_search_without_time_proposes_the_values_it_started_from(
    prepared: PreparedRun, tmp_path: Path
) -> None:
    proposal = search_of(prepared, tmp_path / "studies.db", []).run(0)
    assert not proposal.is_better
    assert proposal.values == {"preset": "ease"}
    assert proposal.ndcg == proposal.start_ndcg > 0


def test_values_that_only_win_with_the_seed_of_the_search_are_not_proposed(
    prepared: PreparedRun, tmp_path: Path
) -> None:
    search = search_of(prepared, tmp_path / "studies.db", [])
    search.run(0)
    lucky = {"preset": "ease", "ease_l2": 5.0}
    search.study.add_trial(
        optuna.trial.create_trial(
            value=0.99,
            params={"ease_l2": 5.0},
            distributions=search.study.trials[0].distributions,
            user_attrs={"values": lucky, "seconds": 0.0},
        )
    )
    proposal = search.run(0)
    assert proposal.n_trials == 2
    assert proposal.ndcg < proposal.start_ndcg
    assert proposal.values == {"preset": "ease"}


def test_written_section_is_accepted_by_the_training(options: TuneOptions) -> None:
    lines: list[str] = []
    path = command.run(options, lines.append)
    section = yaml.safe_load(path.read_text(encoding="utf-8"))["hyperparameters"]
    assert section["preset"] == "ease"
    flags = [part for name, value in section.items() for part in (f"--{name}", str(value))]
    assert training_plan(hyperparameters.parse(flags))
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert any("trial 0" in line for line in lines)


def test_damaged_run_is_named(options: TuneOptions, folder: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    (damaged / "items.parquet").write_bytes(b"no Parquet")
    with pytest.raises(BadInputError, match="items"):
        command.run(replace(options, data=damaged), print)


def test_search_starts_from_the_values_of_the_stage() -> None:
    assert command.starting_values("dev", None)["preset"] in PRESETS
    assert command.starting_values("dev", "gmf") == {"preset": "gmf"}
    with pytest.raises(BadInputError, match="one of lotteon, gmf"):
        command.starting_values("dev", "best")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_suggested_value_is_a_valid_hyperparameter(preset: str) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = space_of(settings_of({"preset": preset}, 1), N_ITEMS)
    for _ in range(20):
        trial = study.ask()
        found = {name: each.suggest(trial, name) for name, each in space.items()}
        assert settings_of({"preset": preset, **found}, 1).as_dict().items() >= found.items()
