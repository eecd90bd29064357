"""The job as a whole: a run that is complete and true, or one line and no ``_SUCCESS``."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession, functions

from ml import manifest as manifests
from ml.contract import (
    ITEM_FEATURES_FILE,
    ITEMS_FILE,
    POPULARITY_FILE,
    QUALITY_FILE,
    SPLITS,
    USER_FEATURES_FILE,
    USERS_FILE,
)
from ml.preparation import job
from ml.preparation.arguments import Settings
from ml.preparation.errors import InputError, StepError
from ml.preparation.features.transforms import WINDOWS_DAYS
from ml.preparation.read.columns import ColumnNames
from ml.preparation.split import core
from ml.preparation.split import pairs as pair_transforms
from ml.preparation.write import file_layout
from tests.ml.conftest import ROOT

pytestmark = pytest.mark.spark

RUN_ID = "20261123T020000Z"
DATA_FILES = {
    USERS_FILE,
    ITEMS_FILE,
    POPULARITY_FILE,
    USER_FEATURES_FILE,
    ITEM_FEATURES_FILE,
    *(f"{split}/part-00000.parquet" for split in SPLITS),
}
QUARANTINE = "quarantine/part-00000.json.gz"
WHOLE_RUN = {*DATA_FILES, QUALITY_FILE, "manifest.json", "_SUCCESS"}
START_S = 1_600_000_000


def shop_lines(n_users: int = 12, n_items: int = 9) -> list[str]:
    """Events of users who take n_items each, in an order of their own."""
    rng = random.Random(5)
    return [
        f"u{user:02d},i{item:02d},{START_S + 60 * position}"
        for user in range(n_users)
        for position, item in enumerate(rng.sample(range(20), n_items))
    ]


def write_shop(folder: Path, lines: Sequence[str], name: str = "shop.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(["user_id,item_id,timestamp", *lines, ""]), encoding="utf-8")
    return path


def prepare(spark: SparkSession, source: Path, output: Path, **changes: Any) -> Path:
    """Prepare a run; returns its folder."""
    job.prepare(spark, Settings(str(source), str(output), RUN_ID, **changes))
    return output / f"run={RUN_ID}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop in which every kind of event occurs: usable, older, of a user with few, and unusable."""
    lines = shop_lines()
    older = [line.replace(f"{START_S}", f"{START_S - 5}") for line in lines if line.endswith(f",{START_S}")]
    few = ["few,i01,1600000000", "few,i02,1600000000"]
    bad = [",i01,1600000000", "u01,i01,never", "u01"]
    return write_shop(tmp_path_factory.mktemp("shop"), [*lines, *older, *few, *bad])


@pytest.fixture(scope="module")
def prepared(spark: SparkSession, shop: Path) -> Path:
    """The prepared run of the shop, which no test may change."""
    return prepare(spark, shop, shop.parent / "prepared")


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYSPARK", "SPARK"))
    }
    command = [sys.executable, "-m", "ml.preparation", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def files_of(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def table(run: Path, name: str) -> Any:
    return pq.ParquetFile(run / name).read()


def test_a_run_holds_what_its_manifest_says(shop: Path, prepared: Path) -> None:
    assert set(files_of(prepared)) == {*WHOLE_RUN, QUARANTINE}
    manifest = manifests.load(prepared / "manifest.json")
    manifests.verify_files(manifest, {name: prepared / name for name in manifest.files})
    assert {name: table(prepared, name).num_rows for name in DATA_FILES} == {
        name: entry.rows for name, entry in manifest.files.items()
    }
    assert manifest.run_id == RUN_ID
    assert manifest.sources == (f"file:{shop}",)


def test_every_event_is_accounted_for(prepared: Path) -> None:
    counts = manifests.load(prepared / "manifest.json").counts
    assert counts.quarantined == {"missing_user": 1, "unparsable_row": 1, "unparsable_time": 1}
    assert (counts.events_read, counts.duplicates, counts.filtered) == (125, 12, 2)
    assert (counts.train, counts.validation, counts.test) == (84, 12, 12)
    assert counts.users == 12
    assert counts.items == len({line.split(",")[1] for line in shop_lines()})
    assert (counts.users_read, counts.items_read) == (13, counts.items)


def test_the_files_have_the_columns_of_the_contract(prepared: Path) -> None:
    interactions = {"user_index": "int32", "item_index": "int32", "timestamp": "int64", "weight": "float"}
    names = ("n_interactions", *(f"n_interactions_{days}d" for days in WINDOWS_DAYS))
    counts = {**dict.fromkeys(names, "int64"), "total_weight": "double"}
    expected = {
        USERS_FILE: {"user_id": "string", "user_index": "int32"},
        ITEMS_FILE: {"item_id": "string", "item_index": "int32"},
        POPULARITY_FILE: {"item_index": "int32", "n_interactions": "int64"},
        USER_FEATURES_FILE: {
            "user_index": "int32",
            **counts,
            "first_timestamp": "int64",
            "last_timestamp": "int64",
            "recency_days": "double",
            "last_items": "list<element: int32>",
        },
        ITEM_FEATURES_FILE: {
            "item_index": "int32",
            **counts,
            "last_timestamp": "int64",
            "recency_days": "double",
        },
        **{f"{split}/part-00000.parquet": interactions for split in SPLITS},
    }
    for name, columns in expected.items():
        assert {field.name: str(field.type) for field in table(prepared, name).schema} == columns, name


def test_no_footer_depends_on_the_process_that_wrote_it(prepared: Path) -> None:
    """Several encodings would be listed in the order of identity hashes."""
    for name in DATA_FILES:
        group = pq.ParquetFile(prepared / name).metadata.row_group(0)
        encodings = [group.column(number).encodings for number in range(group.num_columns)]
        assert all(len(each) == 1 for each in encodings), (name, encodings)


def test_features_are_of_the_kept_pairs(prepared: Path) -> None:
    counts = manifests.load(prepared / "manifest.json").counts
    for name, n_rows in ((USER_FEATURES_FILE, counts.users), (ITEM_FEATURES_FILE, counts.items)):
        features = table(prepared, name)
        ids = features.column(0).to_pylist()
        assert ids == sorted(ids)
        assert len(ids) == n_rows
        assert sum(features.column("n_interactions").to_pylist()) == counts.kept


def test_each_file_is_sorted(prepared: Path) -> None:
    for name in (USERS_FILE, ITEMS_FILE, POPULARITY_FILE):
        index = table(prepared, name).column("user_index" if name == USERS_FILE else "item_index")
        assert index.to_pylist() == list(range(len(index)))
    train = table(prepared, "train/part-00000.parquet")
    order = list(zip(train["user_index"].to_pylist(), train["timestamp"].to_pylist(), strict=True))
    assert order == sorted(order)


def test_a_run_that_is_whole_is_refused_and_left_alone(
    spark: SparkSession, shop: Path, prepared: Path
) -> None:
    before = files_of(prepared)
    with pytest.raises(InputError, match="already prepared; give another --run-id, or --overwrite"):
        prepare(spark, shop, prepared.parent)
    assert files_of(prepared) == before


def test_the_same_events_give_the_same_bytes_however_they_lie(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_layout, "ROWS_PER_FILE", 40)
    lines = shop_lines()
    first = files_of(prepare(spark, write_shop(tmp_path, lines), tmp_path / "once"))
    shuffled = random.Random(1).sample(lines, len(lines))
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(4):
        write_shop(folder, shuffled[number::4], f"{number}.csv")
    spark.conf.set("spark.sql.shuffle.partitions", "3")
    try:
        second = files_of(prepare(spark, folder, tmp_path / "again"))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", "8")
    assert {f"train/part-0000{number}.parquet" for number in range(3)} <= set(first)
    data = [name for name in first if name.endswith(".parquet")]
    assert {name: first[name] for name in data} == {name: second[name] for name in data}


def test_what_a_killed_attempt_left_is_cleared(spark: SparkSession, tmp_path: Path) -> None:
    run = tmp_path / "prepared" / f"run={RUN_ID}"
    for name in ("train/part-00007.parquet", "manifest.json", "_unfinished/splits/x"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("left over")
    prepare(spark, write_shop(tmp_path, shop_lines()), tmp_path / "prepared")
    assert set(files_of(run)) == WHOLE_RUN


def test_a_run_that_fails_while_writing_has_no_success(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(pairs: DataFrame, *others: Any) -> DataFrame:
        disk_full = functions.raise_error(functions.lit("disk full")).cast("bigint")
        return pair_transforms.encoded_pairs(pairs, *others).withColumn("timestamp", disk_full)

    monkeypatch.setattr(core, "encoded_pairs", broken)
    with pytest.raises(StepError, match=r"^write failed: .*disk full"):
        prepare(spark, write_shop(tmp_path, shop_lines()), tmp_path / "prepared")
    written = {path.name for path in tmp_path.rglob("*")}
    assert USERS_FILE in written
    assert not written & {"_SUCCESS", "_unfinished"}


SINGLES = [f"u{n},i{n % 3},1600000000" for n in range(20)]


@pytest.mark.parametrize(
    ("lines", "settings", "message"),
    [
        ([], {}, "no events in it, only a header"),
        (SINGLES, {}, "every user has fewer than 5 interactions"),
        (shop_lines(), {"min_interactions": 10}, "every user has fewer than 10 interactions"),
        (
            [*shop_lines()[:18], ",,"],
            {},
            r"1 of 19 rows cannot be used \(missing_user 1\), more than .*first: missing_user: ',,'",
        ),
        (
            ["u1,i1,5", *shop_lines()],
            {"max_quarantined_share": 0.0},
            "1 of 109 rows cannot be used .* time_out_of_range: 'u1,i1,5'; all: .*/quarantine/$",
        ),
        (
            shop_lines(),
            {"columns": ColumnNames(user="buyer")},
            "no column 'buyer'; columns found: user_id, item_id",
        ),
    ],
)
def test_an_input_that_cannot_be_used_leaves_no_whole_run(
    spark: SparkSession, tmp_path: Path, lines: list[str], settings: dict[str, Any], message: str
) -> None:
    source = write_shop(tmp_path, lines)
    with pytest.raises(InputError, match=message) as refused:
        prepare(spark, source, tmp_path / "prepared", **settings)
    assert "shop.csv" in str(refused.value)
    assert not {"manifest.json", "_SUCCESS"} & {path.name for path in tmp_path.rglob("*")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--run-id", "yesterday"], "--run-id: run id 'yesterday': write a UTC time as 20261123T020000Z"),
        (["--min-interactions", "2"], "--min-interactions 2: give at least 3"),
        (["--min-interactions", "many"], "argument --min-interactions: invalid int value: 'many'"),
        (["--max-quarantined-share", "5"], "--max-quarantined-share 5.0: give a share from 0 to 1"),
        (["--min-item-interactions", "0"], "--min-item-interactions 0: give a whole number of at least 1"),
        (["--min-weight", "-1"], "--min-weight -1.0: give a number of at least 0"),
        (["--min-weight", "nan"], "--min-weight nan: give a number of at least 0"),
        (["--split", "random"], "argument --split: invalid choice: 'random'"),
        (["--test-days", "3"], "--test-days 3: give --split time-cut too, or leave it out"),
        (
            ["--split", "time-cut", "--validation-days", "0"],
            "--validation-days 0: give a whole number of days from 1 to 36500",
        ),
        (["--split", "time-cut", "--min-interactions", "0"], "--min-interactions 0: give at least 1"),
        (["--look-back-days", "0"], "--look-back-days 0: give a whole number of days from 1 to 3660"),
        (
            ["--event-column", "kind"],
            "--event-column also needs --event-weight, with a weight for each event type",
        ),
        (["--event-weight", "view"], "--event-weight 'view': give TYPE=WEIGHT, such as view=1"),
        (
            ["--event-weight", "view=1", "--weight-column", "rating"],
            "--event-weight and --weight-column: give one of them",
        ),
        (["--format", "xml"], "argument --format: invalid choice: 'xml'"),
        (["--speed", "9"], "unrecognized arguments: --speed 9"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    assert job.main(["--input", "x", "--output", "y", "--run-id", RUN_ID, *change]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"ml.preparation: {message}")
    assert line.count("\n") == 1


def test_the_command_refuses_a_damaged_file_in_one_line_and_exits_2(tmp_path: Path) -> None:
    source = tmp_path / "cut.csv.gz"
    text = "\n".join(["user_id,item_id,timestamp", *(f"u{n % 997},i{n},1600000000" for n in range(50_000))])
    source.write_bytes(gzip.compress(text.encode())[:-1000])
    done = run_command("--input", str(source), "--output", str(tmp_path / "out"), "--run-id", RUN_ID)
    assert done.returncode == 2
    assert done.stderr == (
        f"ml.preparation: file:{source}: damaged file: java.io.EOFException: Unexpected end of input stream\n"
    )
    assert not list(tmp_path.rglob("_SUCCESS"))


def test_the_command_prepares_movielens_100k_and_accounts_for_every_row(
    ml_100k: Path, tmp_path: Path
) -> None:
    done = run_command("--input", str(ml_100k), "--output", str(tmp_path), "--run-id", RUN_ID)
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
