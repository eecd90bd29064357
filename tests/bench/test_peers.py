"""`bench/peers.py` with the recommenders of this project's environment, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import peers
from bench.peer_models import job as jobs
from bench.peer_models.comparison import as_markdown
from bench.peer_models.job import Job
from bench.peer_models.search import JobFailed, combinations
from bench.prepared_runs import grouped_shop, locate, write_run
from ml.contract import RANDOM_SPLIT
from ml.ncf.data.prepared_run import read_run

N_USERS, N_ITEMS = 120, 120
OURS = "--preset gmf --epochs 12 --pointwise-epochs 12 --batch-size 16 --factor-num 16 --embedding-std 0.3"
OWN = ["ours", "popularity", "ease"]
Compare = Callable[..., bool]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("peers")
    splits = grouped_shop(N_USERS, N_ITEMS)
    write_run(folder / f"run={peers.RUN_ID}", splits, N_USERS, N_ITEMS, peers.RUN_ID)
    return folder


def compare(
    work: Path, *flags: str, run_job: Callable[[Job], None] = jobs.run
) -> tuple[bool, dict[str, Any]]:
    """Run the comparison; returns whether it is complete, and the result."""
    out = work / "out.json"
    arguments, options = peers.parse(
        ["--work", str(work), "--json", str(out), "--trials", "2", "--ours", OURS, *flags]
    )
    is_complete = peers.run_all(arguments, options, run_job)
    return is_complete, json.loads(out.read_text())


def fail(job: Job) -> None:
    raise JobFailed(f"{job.peer}: exit status 1: out of memory")


@pytest.fixture(scope="module")
def result(work: Path) -> dict[str, Any]:
    is_complete, found = compare(work, "--peers", *OWN)
    assert is_complete
    return found


def test_recommenders_are_ranked_on_the_same_pairs_with_intervals_and_costs(result: dict[str, Any]) -> None:
    ours, popularity, ease = (result["peers"][name] for name in OWN)
    assert ours["sampled"]["ndcg_at_10"] > popularity["sampled"]["ndcg_at_10"]
    assert ease["tuning"]["trials"] == 2
    assert ours["tuning"]["trials"] == 0
    for found in (ours, popularity, ease):
        for protocol in ("sampled", "whole_catalogue"):
            low, high = found[protocol]["intervals"]["ndcg_at_10"]
            assert low <= found[protocol]["ndcg_at_10"] <= high
        assert found["training"]["peak_memory_mib"] > 50
    difference = ours["sampled"]["ndcg_at_10"] - popularity["sampled"]["ndcg_at_10"]
    assert popularity["sampled"]["change"]["ndcg_at_10"] == pytest.approx(difference)


@pytest.mark.usefixtures("result")
def test_finished_training_is_not_repeated(work: Path, result: dict[str, Any]) -> None:
    is_complete, again = compare(work, "--peers", *OWN, run_job=fail)
    assert is_complete
    assert again["peers"] == result["peers"]


@pytest.mark.usefixtures("result")
def test_rows_of_the_jobs_contain_no_test_row(work: Path) -> None:
    run = read_run(locate(work / f"run={peers.RUN_ID}"))
    test = set(zip(run.splits["test"].users.tolist(), run.splits["test"].indices.tolist(), strict=True))
    for name, n_rows in (
        ("train", len(run.splits["train"])),
        ("train-and-validation", len(run.splits["train"]) + N_USERS),
    ):
        with np.load(work / f"{name}.npz") as rows:
            pairs = list(zip(rows["users"].tolist(), rows["items"].tolist(), strict=True))
            assert len(pairs) == n_rows
            assert not test & set(pairs)
            if name == "train":
                assert not test & set(zip(rows["ranked_users"], rows["ranked_items"][:, 0], strict=True))


def test_users_with_few_unseen_items_are_validated_among_those(tmp_path: Path) -> None:
    n_items = 48
    write_run(tmp_path / f"run={peers.RUN_ID}", grouped_shop(60, n_items), 60, n_items, peers.RUN_ID)
    is_complete, found = compare(tmp_path, "--peers", "ease")
    assert is_complete
    trial = found["peers"]["ease"]["tuning"]
    with np.load(tmp_path / "train.npz") as rows:
        count = rows["n_negatives"]
        assert (count == n_items - 11).all()  # a user has 11 items beside that of the test
        ranked = np.arange(rows["ranked_items"].shape[1]) <= count[:, None]
        first = (rows["ranked_items"] == rows["ranked_items"][:, :1]) & ranked
    assert (first.sum(axis=1) == 1).all()
    # Were the repetitions of the held-out item ranked too, no user would have a hit.
    assert trial["validation"]["hr_at_10"] > 0.5


def test_search_ends_with_its_time_and_goes_on_later(tmp_path: Path, work: Path) -> None:
    (tmp_path / f"run={peers.RUN_ID}").symlink_to(work / f"run={peers.RUN_ID}")
    is_complete, found = compare(tmp_path, "--peers", "ease", "--minutes", "0")
    assert not is_complete
    assert found["peers"] == {}
    is_complete, found = compare(tmp_path, "--peers", "ease")
    assert is_complete
    assert found["peers"]["ease"]["sampled"]["change"] is None  # ours is not in this comparison


def test_recommender_that_cannot_run_is_left_out_with_the_reason(tmp_path: Path, work: Path) -> None:
    (tmp_path / f"run={peers.RUN_ID}").symlink_to(work / f"run={peers.RUN_ID}")
    nowhere = str(tmp_path / "python")
    _, found = compare(tmp_path, "--peers", "popularity", "sasrec", "--python", nowhere, run_job=fail)
    assert found["left_out"]["popularity"] == "popularity: exit status 1: out of memory"
    assert found["left_out"]["sasrec"] == f"{nowhere} does not exist: make environment-peers"
    assert "Left out: sasrec" in as_markdown(found)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seed", "7"], "its results are of --seed 42, and not of 7: give another --work"),
        (["--data", "other.csv"], "its results are of --data None, and not of .*other.csv"),
        (["--no-time"], "its results are of options of the preparation"),
    ],
)
def test_results_of_another_comparison_are_not_taken(
    work: Path, result: dict[str, Any], flags: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        compare(work, "--peers", *OWN, *flags, run_job=fail)


def test_sequential_recommender_is_left_out_of_events_without_times(work: Path) -> None:
    run = replace(read_run(locate(work / f"run={peers.RUN_ID}")), split_rule=RANDOM_SPLIT)
    assert "no time" in str(peers.unavailable("sasrec", run, Path(__file__)))
    assert peers.unavailable("lightgcn", run, Path(__file__)) is None


def test_table_starts_with_what_is_ahead_of_ours(result: dict[str, Any]) -> None:
    change = {"hr_at_10": -0.02, "ndcg_at_10": 0.01}
    intervals = {"hr_at_10": [-0.03, -0.01], "ndcg_at_10": [0.0, 0.02]}
    ease = result["peers"]["ease"]
    ease = ease | {"sampled": ease["sampled"] | {"change": change, "change_intervals": intervals}}
    lines = as_markdown(result | {"peers": {"ours": result["peers"]["ours"], "ease": ease}}).splitlines()
    assert lines[0].startswith("**Behind EASE**: hr_at_10, sampled: -0.0200 (-0.0300 to -0.0100), beyond")
    assert sum(line.startswith("| ") for line in lines) == 4  # header, rule and two rows


def test_combinations_start_with_the_defaults_and_do_not_repeat() -> None:
    space = {"a": [1, 2, 3], "b": ["x", "y"]}
    found = [tuple(each.values()) for each in combinations(space, seed=3)]
    assert found[0] == (1, "x")
    assert sorted(found) == sorted({(a, b) for a in space["a"] for b in space["b"]})
    assert list(combinations({}, seed=3)) == []
