"""The job as a command: exit status, output and messages of the process."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ml import manifest as manifests
from tests.ml.preparation.command import run_command
from tests.ml.preparation.shop import RUN_ID

pytestmark = pytest.mark.spark


def test_damaged_file_gives_one_line_and_exit_status_2(tmp_path: Path) -> None:
    source = tmp_path / "cut.csv.gz"
    text = "\n".join(["user_id,item_id,timestamp", *(f"u{n % 997},i{n},1600000000" for n in range(50_000))])
    source.write_bytes(gzip.compress(text.encode())[:-1000])
    done = run_command("--input", source, "--output", tmp_path / "out", "--run-id", RUN_ID)
    assert done.returncode == 2
    assert done.stderr == (
        f"ml.preparation: file:{source}: damaged file: java.io.EOFException: Unexpected end of input stream\n"
    )
    assert not list(tmp_path.rglob("_SUCCESS"))


def test_movielens_100k_is_prepared_with_every_row_accounted_for(ml_100k: Path, tmp_path: Path) -> None:
    done = run_command("--input", ml_100k, "--output", tmp_path, "--run-id", RUN_ID)
    assert (done.returncode, done.stderr) == (0, "")
    counts = manifests.load(tmp_path / f"run={RUN_ID}" / "manifest.json").counts
    assert (counts.users_read, counts.items_read) == (counts.users, counts.items) == (943, 1682)
    assert counts.events_read == counts.kept == 100_000
    assert (counts.train, counts.validation, counts.test) == (98_114, 943, 943)
    for step in (
        "read: 100000 events",
        "split: 98114 train",
        "k-core: 943 users and 1682 items left after round 1",
        "index: 943 users",
        "write: 98114 rows",
        "done: ",
    ):
        assert step in done.stdout
