"""Explanation of an input: what ``--explain`` prints, and the lines for a stage file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ml.preparation.detect.explain import main, stage_lines
from ml.preparation.detect.inspection import explain_input
from ml.settings.preparation import ReadSettings, WeightSettings
from ml.settings.preparation_flags import add_step_arguments, input_settings
from ml.settings.stage_job import StageJob
from tests.ml.conftest import ROOT

CASES = ROOT / os.environ.get("NCF_DATA_DIR", "../shared/data") / "../cases/behaviour"
ROWS = "user_id,item_id,timestamp\nu1,i1,03/04/2024 10:00\nu2,i2,05/04/2024 10:00\n"


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.csv"
    path.write_text(ROWS)
    return path


def explain(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> tuple[int, str]:
    status = main(["--explain", str(path), *options])
    captured = capsys.readouterr()
    return status, captured.out + captured.err


def test_explanation_names_columns_times_and_stage_lines(
    events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = explain(capsys, events, "--time-format", "day-first", "--time-zone", "Asia/Seoul")
    assert status == 0
    assert "text separated by comma, utf-8, with header; 2 rows" in text
    assert "user = user_id (2 distinct, such as u1)" in text
    assert "in Asia/Seoul, 2024-04-03 to 2024-04-05 UTC" in text
    assert "    time_format: day-first\n" in text


def test_time_zone_moves_the_days_of_the_explanation(
    events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events.write_text(ROWS.replace("10:00", "08:00"))
    _, text = explain(capsys, events, "--time-format", "%d/%m/%Y %H:%M", "--time-zone", "+09:00")
    assert "2024-04-02 to 2024-04-04 UTC" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give --time-format month-first or day-first"),
        (["--time-format", "%d/%m/%Y"], "has the form --time-format %d/%m/%Y"),
        (["--time-format", "day-first", "--time-zone", "Foo/Bar"], "no such time zone"),
        (["--user-column", "visitor"], "no column 'visitor'; columns found: user_id, item_id, timestamp"),
    ],
)
def test_ambiguous_or_wrong_input_is_refused_with_the_option(
    events: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    status, text = explain(capsys, events, *options)
    assert status == 2
    assert message in text


def test_documentation_beside_the_data_is_passed_over(
    events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (events.parent / "README.txt").write_text("SUMMARY\n")
    assert explain(capsys, events.parent, "--time-format", "day-first")[0] == 0


def test_file_without_the_columns_is_refused_with_the_one_that_has_them(
    events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (events.parent / "movies.csv").write_text("movie,title\n1,Alien\n")
    status, text = explain(capsys, events.parent, "--time-format", "day-first")
    assert status == 2
    assert "events.csv has all columns" in text


FORMS = {
    "none.csv": b"2651,3643786,pv,1511551423\n2652,3643787,pv,1511551424\n2651,3643787,buy,1511551425\n" * 20,
    "spaces.dat": b"u1 i1 881250949\nu2 i2 881250950\n",
    "korean.csv": "사용자,상품,no,일자,시간\n회원,상,1,2024-05-13,10:00\n".encode("cp949"),
    "escaped.csv": b'user,item,ts,title\n1,2,881250949,"a \\"b\\" c"\n1,3,881250949,"a \\"b\\", c"\n',
    "quoted.tsv": b"user\titem\tts\n'u'\t'i'\t'881250949'\n",
    "lines.jsonl": b'{"user": {"id": 1}, "items": [{"sku": 2, "ts": 1511551423000}]}\n',
}


@pytest.mark.parametrize("name", FORMS)
def test_printed_stage_lines_read_the_file_in_the_same_way(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FORMS[name])
    weights = WeightSettings(event_weights={"pv": 1, "buy": 5} if name == "none.csv" else {})
    found = explain_input(path, ReadSettings(), weights)
    section = yaml.safe_load("\n".join(stage_lines(found, ReadSettings(), weights)))["ncf:spark"]["job"]
    parser = argparse.ArgumentParser()
    add_step_arguments(parser)
    again = input_settings(parser.parse_args(StageJob.read(section).arguments()))
    assert explain_input(path, *again)[0].record == found[0].record
    assert {"user_column", "item_column", "time_column", "time_format"} <= set(section)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("14_colon", "user = user_id"),
        ("15_null_tokens_backslash_N.csv", "user = user_id (8 distinct"),
        ("15b_nan_text.csv", "user = user_id (8 distinct"),
        ("16_milliseconds.csv", "as Unix time in milliseconds, 2023-11-14 to 2023-11-15 UTC"),
        ("16b_microseconds.csv", "as Unix time in microseconds, 2023-11-14 to 2023-11-15 UTC"),
        ("20b_float_ids.jsonl", "JSON lines; 64 rows"),
        ("20d_decimal_ids.parquet", "Parquet; 64 rows"),
        (
            "23_backtick_column.parquet",
            "user = user`id (8 distinct, such as u0), item = item.id (29 distinct",
        ),
        ("24_semicolon.csv", "text separated by semicolon, utf-8, with header; 64 rows"),
        ("24b_pipe.csv", "text separated by pipe, utf-8, with header; 64 rows"),
        ("24c_space.inter", "text separated by spaces, utf-8, with header; 64 rows"),
    ],
)
def test_unusual_file_is_explained(capsys: pytest.CaptureFixture[str], name: str, part: str) -> None:
    path = CASES / name
    if not path.exists():
        pytest.skip(f"the cases are not at {CASES}")
    status, text = explain(capsys, path)
    assert status == 0
    assert part in text


def test_nested_columns_of_a_parquet_file_are_explained(tmp_path: Path) -> None:
    rows = [
        {"who": {"user_id": f"u{n % 5}"}, "events": [{"item_id": n, "ts": 1_600_000_000 + n}], "tags": ["a"]}
        for n in range(40)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "events.parquet")
    (found,) = explain_input(tmp_path / "events.parquet", ReadSettings(), WeightSettings())
    assert found.columns == {"user": "who.user_id", "item": "events[].item_id", "time": "events[].ts"}


def test_nested_column_that_is_not_needed_gives_no_rows(tmp_path: Path) -> None:
    rows = [
        {"user_id": f"u{n}", "item_id": "i", "timestamp": 1_600_000_000 + n, "tags": ["a", "b"]}
        for n in range(9)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "events.parquet")
    (found,) = explain_input(tmp_path / "events.parquet", ReadSettings(), WeightSettings())
    assert found.samples.n_rows == found.n_rows == 9
