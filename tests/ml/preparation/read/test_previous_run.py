"""The previous run: found, checked, extended and compared with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from ml import manifest as manifests
from ml.contract import ITEMS_FILE, POPULARITY_FILE, QUALITY_FILE, USERS_FILE
from ml.preparation.errors import InputError
from ml.preparation.read.previous_run import PreviousRun, find_previous_run
from ml.preparation.spark.storage import Storage
from ml.preparation.write.quality import QualityError
from ml.settings.preparation import RunSettings
from tests.ml.preparation.shop import data_files, files_of, prepare, shop_lines, table, write_shop

pytestmark = pytest.mark.spark

MONDAY, TUESDAY, WEDNESDAY = (f"2026112{day}T020000Z" for day in (3, 4, 5))


def find(spark: SparkSession, output: Path, run_id: str, previous_run: object = None) -> PreviousRun | None:
    """The previous run that a run continues."""
    given = None if previous_run is None else str(previous_run)
    return find_previous_run(spark, Storage(spark), RunSettings("raw", str(output), run_id, given))


def id_map(run: Path, name: str) -> dict[str, int]:
    return dict(zip(*(column.to_pylist() for column in table(run, name).columns), strict=True))


@pytest.fixture(scope="module")
def monday(complete_run: Path) -> Path:
    """A first run; read only."""
    assert complete_run.name == f"run={MONDAY}"
    return complete_run


@pytest.fixture
def output(monday: Path, tmp_path: Path) -> Path:
    """An output root with a copy of the first run."""
    for name, content in files_of(monday).items():
        path = tmp_path / "prepared" / monday.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "prepared"


def test_next_run_keeps_every_index_and_is_compared(
    spark: SparkSession, monday: Path, output: Path, tmp_path: Path
) -> None:
    renamed = [line.replace("u03", "a-new-user").replace("i05", "a-new-item") for line in shop_lines()]
    tuesday = prepare(spark, write_shop(tmp_path, renamed), output, TUESDAY)
    for name, new in ((USERS_FILE, "a-new-user"), (ITEMS_FILE, "a-new-item")):
        before, now = id_map(monday, name), id_map(tuesday, name)
        assert now == {**before, new: len(before)}
    manifest = manifests.load(tuesday / "manifest.json")
    assert manifest.previous_run == str(output / f"run={MONDAY}")
    assert manifest.counts.users == 12  # of 13 in the map
    assert (
        table(tuesday, POPULARITY_FILE)["n_interactions"].to_pylist()[id_map(monday, ITEMS_FILE)["i05"]] == 0
    )

    report = json.loads((tuesday / QUALITY_FILE).read_text())
    compared = {each["name"]: each["observed"] for each in report["expectations"]}
    assert compared["kept_ratio"] == 1.0
    assert 0 < compared["popularity_shift"] < 0.2
    assert report["passed"] is True


def test_run_of_the_same_events_has_the_same_files(
    spark: SparkSession, monday: Path, output: Path, tmp_path: Path
) -> None:
    again = prepare(spark, write_shop(tmp_path, shop_lines()[::-1]), output, TUESDAY)
    assert data_files(again) == data_files(monday)


def test_run_that_fails_the_quality_gate_keeps_its_files(
    spark: SparkSession, output: Path, tmp_path: Path
) -> None:
    few = write_shop(tmp_path, shop_lines(n_users=4))
    with pytest.raises(QualityError, match=r"quality: events_read_ratio is 0\.33\d+, expected at least 0\.5"):
        prepare(spark, few, output, TUESDAY)
    left = files_of(output / f"run={TUESDAY}")
    assert {USERS_FILE, "train/part-00000.parquet", QUALITY_FILE} <= set(left)
    assert not {"_SUCCESS", "manifest.json"} & set(left)
    assert json.loads(left[QUALITY_FILE])["passed"] is False

    # Wednesday does not continue the failed run, and a file can set other limits.
    continued = find(spark, output, WEDNESDAY)
    assert continued is not None
    assert continued.manifest.run_id == MONDAY
    lenient = tmp_path / "lenient.json"
    lenient.write_text('[{"name": "users", "min": 4}]')
    done = prepare(spark, few, output, TUESDAY, expectations=str(lenient))
    assert (done / "_SUCCESS").exists()


def test_complete_run_is_overwritten_on_request(
    spark: SparkSession, monday: Path, output: Path, tmp_path: Path
) -> None:
    source = write_shop(tmp_path, shop_lines(n_users=9))
    run = prepare(spark, source, output, MONDAY, overwrite=True)
    assert manifests.load(run / "manifest.json").counts.users == 9
    assert set(files_of(run)) == set(files_of(monday))


def test_newest_complete_earlier_run_is_continued(spark: SparkSession, output: Path) -> None:
    (output / f"run={TUESDAY}").mkdir()  # incomplete
    (output / "run=yesterday").mkdir()

    def found(run_id: str, given: object = None) -> str | None:
        run = find(spark, output, run_id, given)
        return run.manifest.run_id if run else None

    assert found(WEDNESDAY) == MONDAY
    assert found(MONDAY) is None
    assert found(WEDNESDAY, "none") is None
    assert found("20200101T000000Z", output / f"run={MONDAY}") == MONDAY


def damage_users(run: Path) -> None:
    path = run / USERS_FILE
    path.write_bytes(path.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_users, r"damaged: users\.parquet: sha256 is"),
        (lambda run: (run / ITEMS_FILE).write_bytes(b"short"), r"damaged: items\.parquet: 5 bytes, but"),
        (lambda run: (run / "manifest.json").write_text("{"), "damaged: not JSON"),
        (lambda run: (run / POPULARITY_FILE).unlink(), "cannot be read: .*FileNotFound"),
    ],
)
def test_damaged_run_is_an_error_that_names_it(
    spark: SparkSession, output: Path, tmp_path: Path, damage: Callable[[Path], Any], message: str
) -> None:
    damage(output / f"run={MONDAY}")
    with pytest.raises(
        InputError, match=f"previous run {output}/run={MONDAY}: {message}.*; give --previous-run"
    ):
        prepare(spark, write_shop(tmp_path, shop_lines()), output, TUESDAY)
    assert not (output / f"run={TUESDAY}").exists()


def test_incomplete_run_and_the_run_itself_cannot_be_continued(spark: SparkSession, output: Path) -> None:
    run = output / f"run={MONDAY}"
    with pytest.raises(InputError, match="is run 20261123T020000Z itself"):
        find(spark, output, MONDAY, run)
    (run / "_SUCCESS").unlink()
    with pytest.raises(InputError, match="incomplete: it has no _SUCCESS"):
        find(spark, output, TUESDAY, run)


def test_missing_expectations_file_is_an_error_that_names_it(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.json: no such file; give --expectations an existing one"):
        prepare(spark, tmp_path, tmp_path, MONDAY, expectations=str(tmp_path / "nowhere.json"))
