"""Keys of folders as columns, in all formats; parts of a folder with a header in the first only."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ml.preparation.detect.columns import ColumnNames
from ml.preparation.detect.inspection import explain_input
from ml.preparation.read.conversion import Converter
from ml.preparation.read.events import read_events
from ml.preparation.read.sources import list_sources
from ml.preparation.spark.storage import Storage
from ml.settings.preparation import ReadSettings, WeightSettings

pytestmark = pytest.mark.spark

RUN_ID = "20261123T020000Z"
DAY_S = 1_763_683_200  # 2025-11-21
KINDS = {"view": 1.0, "buy": 5.0}
FOLDERS = ["dt=2025-11-21/event_type=view", "year=2025/month=11/day=21/event_type=view"]


def write(path: Path, kind: str) -> Path:
    """Two events without a time."""
    path.mkdir(parents=True)
    rows = [{"user_id": f"u{n}", "item_id": f"i{n}"} for n in range(2)]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path / "a.parquet")
    elif kind == "jsonl":
        (path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    elif kind == "array":
        (path / "a.json").write_text(json.dumps(rows))
    else:
        header = "" if kind == "none" else "user_id,item_id\n"
        (path / "a.csv").write_text(header + "".join(f"{r['user_id']},{r['item_id']}\n" for r in rows))
    return path


def events_of(spark: SparkSession, root: Path, weights: WeightSettings) -> list[tuple[str, str, int, str]]:
    storage, read = Storage(spark), ReadSettings()
    converter = Converter(spark, storage, f"{root.parent}/run=1/_unfinished")
    files = converter.readable_files(list_sources(storage, str(root), RUN_ID))
    rows = read_events(spark, storage, files, read, ColumnNames.from_settings(read, weights)).rows.collect()
    assert {row["problem"] for row in rows} == {None}
    return sorted((row["user"], row["item"], row["timestamp"], row["value"]) for row in rows)


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("kind", ["csv", "none", "jsonl", "array", "parquet"])
def test_keys_of_folders_are_columns(spark: SparkSession, tmp_path: Path, folder: str, kind: str) -> None:
    write(tmp_path / "shop" / folder, kind)
    weights = WeightSettings(event_weights=KINDS, event_column="event_type")
    expected = [(f"u{n}", f"i{n}", DAY_S, "view") for n in range(2)]
    assert events_of(spark, tmp_path / "shop", weights) == expected
    (explained,) = explain_input(tmp_path / "shop", ReadSettings(), weights)
    time = "dt" if folder.startswith("dt") else "date"
    assert (explained.columns["time"], explained.columns["value"]) == (time, "event_type")


@pytest.mark.parametrize("first", ["user_id,time,item_id\n", "\ufeffitem_id,time,user_id\n"])
def test_header_of_the_first_part_holds_for_the_others(
    spark: SparkSession, tmp_path: Path, first: str
) -> None:
    rows = "".join(f"{n},16000000{n:02d},{n + 1}\n" for n in range(30))
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "part-0.csv").write_text(first + rows)
    (shop / "part-1.csv").write_text(rows)
    found = events_of(spark, shop, WeightSettings())
    add = (0, 1) if first.startswith("user") else (1, 0)
    expected = [(str(n + add[0]), str(n + add[1]), 1_600_000_000 + n, None) for n in range(30)] * 2
    assert sorted(found) == sorted(expected)
    explained = explain_input(shop, ReadSettings(), WeightSettings())
    assert [each.columns["user"] for each in explained] == ["user_id", "#1" if add[0] == 0 else "#3"]


def test_file_without_a_header_and_of_another_width_is_no_later_part(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,item_id,x,time\nu1,i1,x,1600000000\n")
    (tmp_path / "b.csv").write_text("i1,u1,1600000000\n" * 30)
    first, second = explain_input(tmp_path, ReadSettings(), WeightSettings())
    assert (first.columns["user"], second.columns["user"]) == ("user_id", "#2")
