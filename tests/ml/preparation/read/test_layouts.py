"""A run reads files as the run before it did, and tells a changed file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ml.preparation.detect.as_before import PreviousLayouts
from ml.preparation.detect.columns import ColumnNames
from ml.preparation.errors import InputError
from ml.preparation.read.events import read_events
from ml.preparation.read.sources import list_sources
from ml.preparation.spark.storage import Storage
from ml.settings.preparation import ReadSettings, WeightSettings
from tests.ml.preparation.shop import prepare, shop_lines, write_shop

pytestmark = pytest.mark.spark

RUN_ID = "20261123T020000Z"
HEADER = "user_id,item_id,timestamp\n"
ROWS = "".join(f"u{n},i{n},16000000{n:02d}\n" for n in range(30))
NO_HEADER = "".join(f"{n * 7 % 30},{n + 500},{n % 5},16000000{n:02d}\n" for n in range(30))
US_TIMES = HEADER + "u1,i1,05/13/2024 10:00\nu2,i2,05/14/2024 10:00\n"
AMBIGUOUS_TIMES = HEADER + "u1,i1,06/01/2024 10:00\nu2,i2,06/02/2024 10:00\n"
KOREAN = HEADER + "회원일,상품일,1600000001\n"


def layouts(
    spark: SparkSession, path: Path, previous: PreviousLayouts | None = None, **settings: Any
) -> tuple[Mapping[str, Any], ...]:
    storage, read = Storage(spark), ReadSettings(**settings)
    names = ColumnNames.from_settings(read, WeightSettings())
    files = list_sources(storage, str(path), RUN_ID)
    return read_events(spark, storage, files, read, names, previous=previous).layouts


def of_two_nights(spark: SparkSession, path: Path, before: bytes, now: bytes, **settings: Any) -> Any:
    """The layout of the first night, and that of the second."""
    path.write_bytes(before)
    first = layouts(spark, path)
    path.write_bytes(now)
    return first[0], layouts(spark, path, PreviousLayouts("run=1", first), **settings)[0]


def compared(layout: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in layout.items() if name not in ("header", "n_columns")}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (HEADER + ROWS, HEADER + ROWS),
        (US_TIMES, AMBIGUOUS_TIMES),  # by itself refused
        ("client_id,item_id,ts\nc1,i1,1600000001\n", "client_id,user_id,item_id,ts\nc1,u1,i1,1600000001\n"),
        (HEADER + ROWS, "item_id,user_id,timestamp,customer_id\ni1,u1,1600000001,c1\ni2,u1,1600000001,c2\n"),
        ("'user_id','item_id','timestamp'\n'u','i','1600000001'\n", HEADER + ROWS),
        (NO_HEADER, "7,7,4,1600000000\n7,8,4,1600000001\n"),  # by itself, item and rating look alike
        (HEADER + ROWS, HEADER),
    ],
)
def test_file_is_read_as_the_run_before_read_it(
    spark: SparkSession, tmp_path: Path, before: str, now: str
) -> None:
    first, second = of_two_nights(spark, tmp_path / "events", before.encode(), now.encode())
    assert compared(first) == compared(second)


def test_encoding_stays_although_a_night_has_only_ascii(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    first, second = of_two_nights(spark, path, KOREAN.encode("cp949"), (HEADER + ROWS).encode())
    assert (first["encoding"], second["encoding"]) == ("cp949", "cp949")


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        (HEADER + ROWS, (HEADER + ROWS).replace(",", ";"), "separator was ',' and is now ';'"),
        (HEADER + ROWS, HEADER + ROWS.replace("\n", "000\n"), "was seconds and is now milliseconds"),
        (HEADER + ROWS, (HEADER + ROWS).replace("user_id", "client"), "user column was user_id and is now c"),
        (HEADER + ROWS, ROWS, "header was first-line and is now none"),
        (NO_HEADER, NO_HEADER.replace("\n", ",7\n"), "number of columns was 4 and is"),
        (HEADER + ROWS, '{"user_id": 1, "item_id": 2, "timestamp": 1600000000}\n', "format was text and is"),
        (
            US_TIMES,
            HEADER + "u1,i1,13/05/2024 10:00\nu2,i2,14/05/2024 10:00\n",
            "time_format was month-first and is now day-first",
        ),
        (HEADER + ROWS, "who,what,timestamp\n", "no user column; columns found: who, what, timestamp"),
    ],
)
def test_changed_file_is_refused_with_what_has_changed(
    spark: SparkSession, tmp_path: Path, before: str, now: str, change: str
) -> None:
    path = tmp_path / "events"
    with pytest.raises(InputError) as caught:
        of_two_nights(spark, path, before.encode(), now.encode())
    assert str(caught.value).startswith(f"file:{path}: ")
    assert change in str(caught.value)
    assert "run=1" in str(caught.value)


def test_changed_encoding_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="encoding was 'cp949' and is now 'utf-8'"):
        of_two_nights(spark, tmp_path / "events", KOREAN.encode("cp949"), KOREAN.encode())


def test_configured_setting_accepts_the_change(spark: SparkSession, tmp_path: Path) -> None:
    now = (HEADER + ROWS).replace(",", ";").encode()
    _, second = of_two_nights(spark, tmp_path / "events", (HEADER + ROWS).encode(), now, separator=";")
    assert second["separator"] == ";"


def test_changed_times_of_a_parquet_file_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    rows = {
        "user_id": [1, 2],
        "item_id": [3, 4],
        "timestamp": [1_600_000_000, 1_600_000_001],
        "other": [1, 2],
    }
    pq.write_table(pa.table(rows), path)
    previous = PreviousLayouts("run=1", layouts(spark, path))
    pq.write_table(pa.table({**rows, "uid": [7, 8]}), path)
    assert layouts(spark, path, previous) == previous.records
    pq.write_table(pa.table({**rows, "timestamp": [1_600_000_000_000] * 2}), path)
    with pytest.raises(InputError, match="time_format was seconds and is now milliseconds"):
        layouts(spark, path, previous)


def test_changed_type_of_a_parquet_column_is_a_warning(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.parquet"
    rows = {"user_id": [1, 2], "item_id": [3, 4], "timestamp": [1_600_000_000, 1_600_000_001]}
    pq.write_table(pa.table(rows), path)
    previous = PreviousLayouts("run=1", layouts(spark, path))
    assert previous.records[0]["types"] == {"user": "long", "item": "long", "time": "long"}
    pq.write_table(pa.table({**rows, "user_id": [1.0, None]}), path)
    layouts(spark, path, previous)
    assert "the type of user_id was long and is now double; users are read as before" in caplog.text


def test_list_of_items_is_read_as_before(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "behaviors.tsv"
    path.write_text(
        "".join(f"{n}\tU{n % 9}1200\t11/{n + 1}/2019 9:05:58 AM\tN1 N{n}\tN7-0\n" for n in range(28))
    )
    first = layouts(spark, path, item_column="#4[]")
    assert first[0]["columns"] == {"user": "#2", "item": "#4[]", "time": "#3"}
    assert layouts(spark, path, PreviousLayouts("run=1", first)) == first


def test_run_is_prepared_as_the_one_before_unless_layouts_are_detected_anew(
    spark: SparkSession, tmp_path: Path
) -> None:
    monday, tuesday, wednesday = (f"2026112{day}T020000Z" for day in (3, 4, 5))
    source = write_shop(tmp_path, shop_lines())
    prepare(spark, source, tmp_path / "prepared", monday)
    source.write_text(source.read_text().replace(",", "|"))
    with pytest.raises(InputError, match=r"separator was ',' and is now '\|'.*give --layout detect"):
        prepare(spark, source, tmp_path / "prepared", tuesday)
    prepare(spark, source, tmp_path / "prepared", tuesday, layout="detect")
    prepare(spark, source, tmp_path / "prepared", wednesday)
