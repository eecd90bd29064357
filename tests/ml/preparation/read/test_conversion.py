"""Conversion of compressed files, archives and other formats: each gives the rows of the plain file."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pytest
import zstandard
from pyarrow import feather, orc
from pyspark.sql import SparkSession

from ml.preparation.detect import containers
from ml.preparation.detect.columns import ColumnNames
from ml.preparation.detect.inspection import explain_input
from ml.preparation.detect.json_array import array_elements
from ml.preparation.errors import InputError
from ml.preparation.read.conversion import Converter
from ml.preparation.read.events import read_events
from ml.preparation.read.sources import list_sources
from ml.preparation.spark.storage import Storage
from ml.settings.preparation import ReadSettings, WeightSettings
from tests.ml.preparation.shop import RUN_ID

EVENTS = [{"user_id": f"u{n}", "item_id": f"ü{n % 3}", "timestamp": 1_600_000_000 + n} for n in range(5)]
CSV = "\n".join(["user_id,item_id,timestamp", *(",".join(map(str, each.values())) for each in EVENTS), ""])
ARRAY = json.dumps(EVENTS, ensure_ascii=False, indent=1)


def zip_of(members: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def tar_of(name: str, text: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(text.encode())
        archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def arrow_file(write: object) -> bytes:
    buffer = io.BytesIO()
    write(pa.Table.from_pylist(EVENTS), buffer)  # type: ignore[operator]
    return buffer.getvalue()


CONVERTED = {
    "a.csv.zst": zstandard.compress(CSV.encode()),
    "b.csv.xz": lzma.compress(CSV.encode()),
    "c.csv": gzip.compress(CSV.encode(), mtime=0),  # without a suffix that Hadoop knows
    "d 100%+.csv.bzip": bz2.compress(CSV.encode()),
    "e.zip": zip_of({"folder/": "", "folder/e.csv": CSV, "__MACOSX/._e.csv": "\0\1"}),
    "f.tar.gz": gzip.compress(tar_of("data/f.csv", CSV), mtime=0),
    "g.csv": CSV.encode("utf-16"),
    "l.csv": CSV.encode("utf-16-le"),
    "m.csv": CSV.encode("utf-16-be"),
    "h.json": ARRAY.encode(),
    "i.json.gz": gzip.compress(ARRAY.encode(), mtime=0),
    "k.zip": zip_of({"k.csv.gz": "", "k.csv": CSV}),
}
READ_AS_THEY_ARE = {
    "v.csv.gz": gzip.compress(CSV.encode(), mtime=0),
    "w.csv.bz2": bz2.compress(CSV.encode()),
    "x.orc": arrow_file(orc.write_table),
    "y.csv": CSV.encode("utf-8-sig"),
}


@pytest.mark.spark
def test_each_format_gives_the_rows_of_the_plain_file(spark: SparkSession, tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.mkdir()
    for name, content in (CONVERTED | READ_AS_THEY_ARE).items():
        (source / name).write_bytes(content)
    storage = Storage(spark)
    converter = Converter(spark, storage, f"{tmp_path}/scratch")
    files = converter.readable_files(list_sources(storage, str(source), RUN_ID))
    events = read_events(spark, storage, files, ReadSettings(), ColumnNames()).rows
    found = defaultdict(list)
    for row in converter.with_original_source(events).collect():
        path = unquote(row["source"]).removeprefix(f"file:{source}/").removeprefix(f"file://{source}/")
        found[path].append((row["user"], row["item"], row["time"], row["problem"]))
    expected = [(each["user_id"], each["item_id"], str(each["timestamp"]), None) for each in EVENTS]
    members = {"e.zip": "e.zip/folder/e.csv", "f.tar.gz": "f.tar.gz/data/f.csv", "k.zip": "k.zip/k.csv"}
    assert sorted(found) == sorted(members.get(name, name) for name in CONVERTED | READ_AS_THEY_ARE)
    for name, rows in found.items():
        assert sorted(rows) == expected, name
    for name in found:  # without Spark, before anything is deployed
        (explained,) = explain_input(source / name.split("/")[0], ReadSettings(), WeightSettings())
        assert list(explained.columns.values()) == ["user_id", "item_id", "timestamp"], name
    plain = [each.uri for each in files if "/scratch/" not in each.uri]
    assert [uri.rsplit("/", 1)[-1] for uri in plain] == sorted(READ_AS_THEY_ARE)


@pytest.mark.spark
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.csv.zst", zstandard.compress(CSV.encode() * 9)[:-9], "cannot be read"),
        ("cut.csv.xz", lzma.compress(CSV.encode())[:-9], "cannot be read"),
        (
            "book.xlsx",
            zip_of({"[Content_Types].xml": "<Types/>"}),
            "an Excel workbook; save the sheet as CSV",
        ),
        ("cut.avro", b"Obj\x01 and then nothing", "cannot be read as Avro"),
        (
            "new.feather",
            arrow_file(feather.write_feather),
            "a Feather file, which Spark does not read; write it",
        ),
        ("old.feather", b"FEA1 and then nothing", "a Feather file, which Spark does not read; write it as"),
    ],
)
def test_file_that_cannot_be_converted_is_an_error_that_names_it(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    storage = Storage(spark)
    files = list_sources(storage, str(tmp_path), RUN_ID)
    with pytest.raises(InputError, match=f"{name}: .*{message}"):
        Converter(spark, storage, f"{tmp_path}/scratch").readable_files(files)
    with pytest.raises(InputError, match=name):
        explain_input(tmp_path / name, ReadSettings(), WeightSettings())


@pytest.mark.parametrize("n_characters", [1, 2, 7, 1000])
def test_array_is_cut_into_its_elements_at_any_chunk_size(n_characters: int) -> None:
    chunks = [ARRAY[start : start + n_characters] for start in range(0, len(ARRAY), n_characters)]
    found = list(array_elements(chunks))
    assert [json.loads(each) for each in found] == EVENTS
    assert not any("\n" in each for each in found)


def test_text_from_a_broken_element_on_is_one_element() -> None:
    assert list(array_elements(['[{"a": 1}, {"b" 2},', '{"c": 3}]'])) == ['{"a": 1}', '{"b" 2},{"c": 3}]']
    assert list(array_elements(["[]"])) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.csv.zst", "a.csv"), ("2023:01'%.tsv", "2023-01--.tsv"), (".gz", "data"), ("u.data", "u.data")],
)
def test_converted_file_keeps_the_suffix_of_its_content(name: str, expected: str) -> None:
    assert containers.plain_name(name) == expected
