"""Source files of a run: those of the days that ended before its run id."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from ml.preparation.errors import InputError
from ml.preparation.read.sources import days_to_read, list_sources
from ml.preparation.spark.storage import Storage

RUN_ID = "20261123T020000Z"
days = st.dates(date(2026, 1, 1), date(2026, 12, 31))


def add(root: Path, *names: str, text: str = "u,i,1600000000\n") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def read(
    spark: SparkSession, root: Path, run_id: str = RUN_ID, look_back_days: int | None = None
) -> list[str]:
    files = list_sources(Storage(spark), str(root), run_id, look_back_days)
    return [each.uri.removeprefix(f"file:{root}/") for each in files]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Partitions named dt= and date=, with and without hours, with missing days, and after the run."""
    return add(
        tmp_path / "shop",
        "dt=2026-11-18/a.csv",
        "date=2026-11-20/hour=07/b.csv",
        "date=2026-11-20/hour=23/c.csv",
        "dt=2026-11-22/d.csv",
        "dt=2026-11-22/_SUCCESS",
        "dt=2026-11-23/e.csv",
        "dt=2026-11-24/f.csv",
        "_left/g.csv",
        "_README.md",
    )


@pytest.mark.spark
@pytest.mark.parametrize(
    ("run_id", "look_back_days", "expected"),
    [
        (RUN_ID, None, "abcd"),
        (RUN_ID, 1, "d"),
        (RUN_ID, 3, "bcd"),
        (RUN_ID, 5, "abcd"),
        (RUN_ID, 3660, "abcd"),
        ("20261123T000000Z", 1, "d"),  # a day ends at midnight
        ("20261122T235959Z", 2, "bc"),
        ("20261124T000000Z", 1, "e"),
        ("20270101T000000Z", None, "abcdef"),
    ],
)
def test_only_days_of_the_window_that_have_ended_are_read(
    spark: SparkSession, shop: Path, run_id: str, look_back_days: int | None, expected: str
) -> None:
    files = read(spark, shop, run_id, look_back_days)
    assert [Path(each).stem for each in files] == list(expected)


@pytest.mark.spark
def test_missing_and_skipped_days_are_logged(
    spark: SparkSession, shop: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add(shop, "dt=2026-11-21/empty.csv", text="")
    with caplog.at_level(logging.INFO, "ml.preparation"):
        read(spark, shop, look_back_days=4)
    assert "no events of 2026-11-19, 2026-11-21" in caplog.text
    assert "skipped 2026-11-23, 2026-11-24: not over at the time of the run" in caplog.text


@pytest.mark.spark
@pytest.mark.parametrize(
    ("names", "look_back_days", "message"),
    [
        (["dt=2026-11-18/a"], 2, "no events of any day 2026-11-21 to 2026-11-22; give another"),
        (["dt=2026-11-23/a"], None, "no events of any day before 2026-11-23"),
        (["a.csv"], 2, "no dated folders such as dt=2026-11-23 in it; leave --look-back-days out"),
        (["dt=2026-11-18/a", "b.csv"], None, "b.csv: next to dated folders, but not in one"),
        (["dt=2026-11-18/a", "old/b"], 7, "old: next to dated folders, but not in one"),
        (
            ["dt=2026-11-31/a"],
            None,
            "dt=2026-11-31: '2026-11-31' is not a date; write YYYY-MM-DD or YYYYMMDD",
        ),
        (["dt=__HIVE_DEFAULT_PARTITION__/a"], None, "is not a date; write YYYY-MM-DD or YYYYMMDD"),
    ],
)
def test_unusable_partitions_are_an_error(
    spark: SparkSession, tmp_path: Path, names: list[str], look_back_days: int | None, message: str
) -> None:
    add(tmp_path / "shop", *names)
    with pytest.raises(InputError, match=message) as caught:
        read(spark, tmp_path / "shop", look_back_days=look_back_days)
    assert "shop" in str(caught.value)


@given(st.lists(days, unique=True).map(sorted), days, st.one_of(st.none(), st.integers(1, 400)))
def test_window_ends_before_the_day_of_the_run(
    available: list[date], end: date, look_back_days: int | None
) -> None:
    found = days_to_read(available, end, look_back_days)
    assert all(day < end for day in found)
    assert found == sorted(set(found))
    if look_back_days is None:
        assert {day for day in available if day < end} <= set(found)
    else:
        assert found == [end - timedelta(days=n) for n in range(look_back_days, 0, -1)]


@pytest.mark.spark
@pytest.mark.parametrize(
    ("names", "look_back_days", "expected"),
    [
        (["dt=20261121/a", "day=2026-11-22/b", "event_date=2026-11-23/c"], 1, "b"),
        (
            ["year=2026/month=11/day=21/a", "year=2026/month=11/day=22/b", "year=2026/month=12/day=1/c"],
            1,
            "b",
        ),
        (["year=2026/month=9/day=3/a", "year=2026/month=11/day=22/hour=3/b"], None, "ab"),
        (["country=KR/dt=2026-11-22/a", "country=JP/dt=2026-11-22/b", "country=JP/dt=2026-11-23/c"], 1, "ba"),
        (["README.md", "dt=2026-11-22/a", "LICENSE"], 1, "a"),
        (["country=KR/a", "country=JP/b"], None, "ba"),
    ],
)
def test_days_of_any_spelling_are_partitions(
    spark: SparkSession, tmp_path: Path, names: list[str], look_back_days: int | None, expected: str
) -> None:
    files = read(spark, add(tmp_path / "shop", *names), look_back_days=look_back_days)
    assert "".join(Path(each).stem for each in files) == expected


@pytest.mark.spark
@pytest.mark.parametrize(
    ("pattern", "look_back_days", "expected"),
    [
        ("*.csv", None, ["1.csv", "a:b.csv"]),
        ("[12].csv", None, ["1.csv"]),
        ("{1.csv,old}", None, ["1.csv", "old/3.csv"]),
        ("dt=2026-11-2*", 1, ["dt=2026-11-22/5.csv"]),
        ("dt=*/*.csv", 2, ["dt=2026-11-21/4.csv", "dt=2026-11-22/5.csv"]),
        ("o'd [x].tsv", None, ["o'd [x].tsv"]),  # a file of this name
    ],
)
def test_pattern_selects_files_and_days(
    spark: SparkSession, tmp_path: Path, pattern: str, look_back_days: int | None, expected: list[str]
) -> None:
    names = ("1.csv", "a:b.csv", "old/3.csv", "dt=2026-11-21/4.csv", "dt=2026-11-22/5.csv", "o'd [x].tsv")
    shop = add(tmp_path / "shop", *names, "_hidden.csv", "README.csv")
    files = list_sources(Storage(spark), f"{shop}/{pattern}", RUN_ID, look_back_days)
    assert [each.uri.removeprefix(f"file:{shop}/") for each in files] == expected


@pytest.mark.spark
def test_pattern_without_a_match_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file or folder has such a name; give --input"):
        read(spark, add(tmp_path, "a.csv") / "*.tsv")


@pytest.mark.spark
@pytest.mark.parametrize(
    ("log", "kind"),
    [
        ("_delta_log/00000000000000000000.json", "Delta"),
        (".hoodie/hoodie.properties", "Hudi"),
        ("metadata/v1.metadata.json", "Iceberg"),
    ],
)
def test_deleted_rows_of_a_table_do_not_come_back(
    spark: SparkSession, tmp_path: Path, log: str, kind: str
) -> None:
    table = add(tmp_path / "table", log, "data/a.csv")
    for folder in (table, table / "data", table.parent):
        with pytest.raises(InputError, match=f"table: a {kind} table, whose files hold deleted rows"):
            read(spark, folder)
