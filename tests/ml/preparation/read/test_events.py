"""Readers: every format gives the same rows, and each line one row."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from ml.preparation.detect.columns import ColumnNames
from ml.preparation.errors import InputError
from ml.preparation.read import text
from ml.preparation.read.conversion import Converter
from ml.preparation.read.events import read_events
from ml.preparation.read.sources import list_sources
from ml.preparation.spark.storage import Storage
from ml.settings.preparation import ReadSettings

pytestmark = pytest.mark.spark

RUN_ID = "20261123T020000Z"
EVENTS = [("u1", "i1", "881250949"), ("u1", "i2", "881250950"), ("ü, 😀", 'the "best"', "881250951")]
QUOTED = [f'"{user}","{item.replace(chr(34), chr(34) * 2)}",{time}' for user, item, time in EVENTS]
CSV = "\n".join(["user_id,item_id,timestamp", *QUOTED, ""])
LATIN_1_HEADER = "user_id,item_id,timestamp,prénom\n".encode("latin-1")


def read(spark: SparkSession, path: Path, file_format: str = "auto", **names: Any) -> DataFrame:
    storage = Storage(spark)
    converter = Converter(spark, storage, f"{path.parent}/_scratch")
    files = converter.readable_files(list_sources(storage, str(path), RUN_ID))
    events = read_events(spark, storage, files, ReadSettings(format=file_format), ColumnNames(**names)).rows
    return converter.with_original_source(events)


def triples(events: DataFrame) -> list[tuple[str, str, str]]:
    rows = events.collect()
    assert all(row["problem"] is None for row in rows)
    return sorted((row["user"], row["item"], row["time"]) for row in rows)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("comma.csv", CSV.encode()),
        ("windows.csv", b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode()),
        ("latin-1.csv", LATIN_1_HEADER + "".join(f"{row},x\n" for row in QUOTED).encode()),
        ("blank lines.csv", CSV.replace("\n", "\n\n").encode()),
        ("packed.csv.gz", gzip.compress(CSV.encode(), mtime=0)),  # in the test id: the same in all workers
        ("odd [name] {of} a *file*?.csv", CSV.encode()),
        ('10:00 o\'clock "x".csv', CSV.encode()),
        (
            "other.columns",
            "\n".join(
                [
                    "item,x,user,ts",
                    "i1,,u1,881250949",
                    'i2,"a\tb",u1,881250950',
                    '"the ""best""",0,"ü, 😀",881250951',
                ]
            ).encode(),
        ),
        ("u.data", "".join(f"{u}\t{i}\t3\t{t}\n" for u, i, t in EVENTS).encode()),
        ("ratings.dat", "".join(f"{u}::{i}::5::{t}\n" for u, i, t in EVENTS).encode()),
    ],
)
def test_every_text_format_gives_the_same_events(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert triples(read(spark, path)) == sorted(EVENTS)


@pytest.mark.parametrize("kind", ["text", "numbers", "moments"])
def test_parquet_columns_of_any_type_are_read(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    seconds = [int(time) for _, _, time in EVENTS]
    moments = [datetime.fromtimestamp(each, UTC) for each in seconds]
    times = {
        "text": pa.array([str(each) for each in seconds]),
        "numbers": pa.array(seconds),
        "moments": pa.array(moments, pa.timestamp("us", tz="UTC")),
    }
    users = [7, 8, 9] if kind == "numbers" else ["7", "8", "9"]
    path = tmp_path / "without-a-suffix"
    pq.write_table(pa.table({"userId": users, "movie.id": ["a", "b", "c"], "ts": times[kind]}), path)
    events = read(spark, path, item="movie.id")
    assert triples(events) == list(zip(["7", "8", "9"], ["a", "b", "c"], map(str, seconds), strict=True))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Seoul"])
def test_parquet_timestamp_of_any_unit_and_zone_is_unix_seconds(
    spark: SparkSession, tmp_path: Path, unit: str, zone: str | None
) -> None:
    path = tmp_path / "events.parquet"
    moments = pa.array([881250949, -1, None], pa.timestamp("s")).cast(pa.timestamp(unit, tz=zone))
    # pandas stores integer ids next to nulls as floats.
    table = {"user": pa.array([7.0, 8.5, None]), "item": pa.array([2**60, 2, 3]), "time": moments}
    pq.write_table(pa.table(table), path)
    rows = [(row["user"], row["item"], row["time"]) for row in read(spark, path).collect()]
    assert rows == [("7", str(2**60), "881250949"), ("8.5", "2", "-1"), (None, "3", None)]


JSON_LINES = [
    ('{"user_id": "u1", "item_id": 7, "ts": 1600000000}', None),
    ('{"ts": "2024-05-01", "item_id": "i,\\"\\n😀", "user_id": "u1", "more": {"a": [{}]}}', None),
    ('{"user_id": null, "item_id": 7}', None),
    ('{"user_id": "u1"}{"user_id": "u2"}', "unparsable_row"),
    ('{"user_id": "u1"}, {"user_id": "u2"}', "unparsable_row"),
    ('{"user_id": "u1", "item_id": ', "unparsable_row"),
    ('{"user_id": "u1", "item_id": 7, "ts": 1600000000},', "unparsable_row"),
    ('{"user_id": "u1"}]', "unparsable_row"),
    ('[{"user_id": "u1"}]', "unparsable_row"),
    ("null", "unparsable_row"),
    ("1600000000", "unparsable_row"),
    ('"u1"', "unparsable_row"),
    ("u1,i1,1600000000", "unparsable_row"),
    ('{"user_id": {"id": 1}, "item_id": 7, "ts": 1600000000}', "nested_id"),
    ('{"user_id": "u1", "item_id": [7], "ts": 1600000000}', "nested_id"),
]


@pytest.mark.parametrize("name", ["events.jsonl", "events.json", "events"])
def test_each_json_line_is_an_event_or_has_its_problem(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_text("\n\n".join(line for line, _ in JSON_LINES))
    rows = {row["raw"]: row for row in read(spark, path).collect()}
    assert {raw: row["problem"] for raw, row in rows.items()} == dict(JSON_LINES)
    values = [(row["user"], row["item"], row["time"]) for row in (rows[line] for line, _ in JSON_LINES[:3])]
    assert values == [("u1", "7", "1600000000"), ("u1", 'i,"\n😀', "2024-05-01"), (None, "7", None)]


def test_quoted_field_with_a_line_break_is_one_row(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    broken = ['u2,i2,881250950,"two', 'lines"', 'u3,i3,881250951,"a', 'b"']
    path.write_text("\n".join(["user,item,time,title", 'u1,i1,881250949,"a, ""b"""', *broken]))
    rows = read(spark, path).collect()
    assert [(row["user"], row["problem"]) for row in rows] == [("u1", None), ("u2", None), ("u3", None)]


def test_inch_mark_in_tsv_is_not_a_quote(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "events.tsv"
    path.write_text('user\titem\ttime\ttitle\nu1\ti1\t881250949\tTV 27"\nu1\t"a\tb"\t881250949\t"cut\n')
    assert [(row["item"], row["problem"]) for row in read(spark, path).collect()] == [
        ("i1", None),
        ("a\tb", "unbalanced_quotes"),
    ]


def test_too_long_line_is_not_parsed(spark: SparkSession, tmp_path: Path) -> None:
    long = "," * (text.MAX_LINE_BYTES + 1)
    (tmp_path / "a.csv").write_text(f'user,item,time\n{long}\nu1,"{long}",881250949\nu1,i1,881250949\n')
    (tmp_path / "b.jsonl").write_text(f'{{"user": 1, "item": 2, "time": 881250949}}\n{{"user": "{long}"}}\n')
    problems = [row["problem"] for row in read(spark, tmp_path).select("problem").collect()]
    assert sorted(problems, key=str) == [None, None, *["line_too_long"] * 3]


def test_event_type_is_read_from_every_format(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,item,time,kind\nu1,i1,881250949,view\n")
    (tmp_path / "b.jsonl").write_text('{"user": "u2", "item": 1, "time": 881250949, "kind": "cart"}\n')
    table = {"user": ["u3"], "item": ["i"], "time": [881250949], "kind": ["buy"]}
    pq.write_table(pa.table(table), tmp_path / "c.parquet")
    rows = read(spark, tmp_path, event="kind", needs_event=True).collect()
    values = {row["user"]: row["value"] for row in rows}
    assert values == {"u1": "view", "u2": "cart", "u3": "buy"}


def test_folder_with_several_formats_and_column_orders_is_read(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "day=1").mkdir()
    (tmp_path / "day=1" / "a.csv").write_text("user_id,item_id,timestamp\nu1,i1,881250949\n")
    (tmp_path / "day=1" / "b.csv").write_text("timestamp,item_id,user_id\n881250950,i2,u2\n")
    (tmp_path / "c.tsv").write_text("u3\ti3\t881250951\n")
    pq.write_table(pa.table({"user": ["u4"], "item": ["i4"], "time": [881250952]}), tmp_path / "d.parquet")
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / "_left.csv").write_text("not,an,event\n")
    (tmp_path / ".hidden.csv").write_text("not,an,event\n")
    (tmp_path / "empty.csv").write_text("")
    expected = [(f"u{n}", f"i{n}", f"{881250948 + n}") for n in range(1, 5)]
    assert triples(read(spark, tmp_path)) == expected


def test_line_with_too_few_or_too_many_fields_is_kept_unparsed(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    bad = ["u1", "u1,i1", "u1,i1,881250949,extra", '"u1,i1,881250949']
    path.write_text("\n".join(["user,item,time", "u1,i1,881250949", *bad]))
    unparsed = read(spark, path).where("problem is not null").collect()
    assert sorted(row["raw"] for row in unparsed) == sorted(bad)
    assert {row["source"] for row in unparsed} == {f"file:{path}"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "empty; it needs at least one event"),
        ("blank.csv", b"\n \n\r\n", "only blank lines"),
        ("_marked.csv", CSV.encode(), "no data files; names that start with _ or . are skipped"),
        ("not-gzip.csv.gz", CSV.encode(), "not a gzip file"),
        (
            "cut.parquet",
            b"PAR1 and then nothing",
            "cannot be read as Parquet: .*cut.parquet is not a Parquet",
        ),
        ("binary", bytes(range(256)) * 10, "columns found: "),
        ("packed.csv", b"PK\x03\x04 and so on", "a zip archive without a file in it"),
        ("array.json", b'[\n {"user": 1}]', "no item column; columns found: user"),
        ("pretty.json", b'{\n "user": 1\n}', "none of the first lines is a JSON object"),
        ("short.jsonl", b'{"user": 1, "item": 2}', "no time column; columns found: user, item"),
    ],
)
def test_file_without_events_is_an_error_that_names_it(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read(spark, path)
    assert name in str(caught.value)


def test_parquet_file_without_a_column_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "shop.parquet"
    pq.write_table(pa.table({"user_id": ["u1"], "price": [1.0]}), path)
    with pytest.raises(InputError, match="no item column; columns found: user_id, price"):
        read(spark, path)


@pytest.mark.parametrize(
    ("ids", "kind"), [([True], "boolean"), ([[1]], "array<bigint>"), ([{"a": 1}], "struct<a:bigint>")]
)
def test_parquet_column_of_unsupported_type_is_an_error_that_names_the_type(
    spark: SparkSession, tmp_path: Path, ids: list[Any], kind: str
) -> None:
    path = tmp_path / "shop.parquet"
    pq.write_table(pa.table({"user_id": ids, "item": ["i"], "time": [881250949]}), path)
    with pytest.raises(InputError, match=f"shop.parquet: column 'user_id' is {kind}; give text"):
        read(spark, path)


def test_missing_path_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file or folder"):
        read(spark, tmp_path / "nowhere.csv")


def test_empty_folder_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data files"):
        read(spark, tmp_path)


def test_json_lines_in_a_legacy_encoding_are_decoded(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    rows = [{"user_id": f"회원{n}", "item_id": f"상품{n}", "timestamp": 881250949} for n in range(4)]
    path.write_bytes("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode("cp949"))
    assert triples(read(spark, path)) == [(f"회원{n}", f"상품{n}", "881250949") for n in range(4)]


@pytest.mark.parametrize("items", ["{0} {1}", "[{0}, {1}]", "['{0}', '{1}']", "{0}|{1}"])
def test_list_of_items_gives_an_event_per_element(spark: SparkSession, tmp_path: Path, items: str) -> None:
    path = tmp_path / "sessions.tsv"
    rows = [f"u{n}\t{items.format(f'i{n}', f'j{n}')}\t88125094{n}\n" for n in range(3)]
    path.write_text("user_id\thistory\ttimestamp\n" + "".join(rows))
    found = triples(read(spark, path, item="history[]"))
    assert found == [(f"u{n}", f"{each}{n}", f"88125094{n}") for n in range(3) for each in "ij"]
