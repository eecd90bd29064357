"""Reading: the same events from every format, and each line accounted for."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from ml.preparation.errors import InputError
from ml.preparation.columns import ColumnNames
from ml.preparation.reading import input_files, read_events
from ml.preparation.storage import Storage

pytestmark = pytest.mark.spark

EVENTS = [("u1", "i1", "881250949"), ("u1", "i2", "881250950"), ("ü, 😀", 'the "best"', "881250951")]
QUOTED = [f'"{user}","{item.replace(chr(34), chr(34) * 2)}",{time}' for user, item, time in EVENTS]
CSV = "\n".join(["user_id,item_id,timestamp", *QUOTED, ""])
LATIN_1_HEADER = "user_id,item_id,timestamp,prénom\n".encode("latin-1")


def read(spark: SparkSession, path: Path, file_format: str = "auto", **names: str) -> DataFrame:
    storage = Storage(spark)
    return read_events(spark, storage, input_files(storage, str(path)), file_format, ColumnNames(**names))


def triples(events: DataFrame) -> list[tuple[str, str, str]]:
    rows = events.collect()
    assert all(row["is_parsed"] for row in rows)
    return sorted((row["user"], row["item"], row["time"]) for row in rows)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("comma.csv", CSV.encode()),
        ("windows.csv", b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode()),
        ("latin-1.csv", LATIN_1_HEADER + "".join(f"{row},x\n" for row in QUOTED).encode()),
        ("blank lines.csv", CSV.replace("\n", "\n\n").encode()),
        ("packed.csv.gz", gzip.compress(CSV.encode())),
        ("odd [name] {of} a *file*?.csv", CSV.encode()),
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
def test_parquet_of_any_type_is_read(spark: SparkSession, tmp_path: Path, kind: str) -> None:
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
    expected = [f"{each:%Y-%m-%d %H:%M:%S}" for each in moments] if kind == "moments" else map(str, seconds)
    events = read(spark, path, item="movie.id")
    assert triples(events) == list(zip(["7", "8", "9"], ["a", "b", "c"], expected, strict=True))


def test_a_folder_may_mix_formats_and_column_orders(spark: SparkSession, tmp_path: Path) -> None:
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


def test_a_line_with_too_few_or_too_many_fields_is_kept_as_it_came(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "events.csv"
    bad = ["u1", "u1,i1", "u1,i1,881250949,extra", '"u1,i1,881250949']
    path.write_text("\n".join(["user,item,time", "u1,i1,881250949", *bad]))
    unparsed = read(spark, path).where("not is_parsed").collect()
    assert sorted(row["raw"] for row in unparsed) == sorted(bad)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "empty; it needs at least one event"),
        ("blank.csv", b"\n \n\r\n", "only blank lines"),
        ("_marked.csv", CSV.encode(), "no data files; names that start with _ or . are passed over"),
        ("not-gzip.csv.gz", CSV.encode(), "not a gzip file"),
        (
            "cut.parquet",
            b"PAR1 and then nothing",
            "cannot be read as Parquet: .*cut.parquet is not a Parquet",
        ),
        ("binary", bytes(range(256)) * 10, "columns found: "),
    ],
)
def test_a_file_that_holds_no_events_is_refused_by_its_name(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as refused:
        read(spark, path)
    assert name in str(refused.value)


def test_a_parquet_file_without_the_columns_lists_those_it_has(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "shop.parquet"
    pq.write_table(pa.table({"user_id": ["u1"], "price": [1.0]}), path)
    with pytest.raises(InputError, match="no item column; columns found: user_id, price"):
        read(spark, path)


def test_a_missing_path_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file or folder"):
        read(spark, tmp_path / "nowhere.csv")


def test_an_empty_folder_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data files"):
        read(spark, tmp_path)
