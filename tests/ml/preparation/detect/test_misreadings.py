"""Files in which two columns could be meant: they are refused with the option, or the choice is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.preparation.detect.explain import described
from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.inspection import Explained, explain_input
from ml.settings.preparation import ReadSettings, WeightSettings
from tests.ml.preparation.detect.public_forms import form_text

TIMES = "user_id,item_id,created_at,{}"
DAY = "{d:%Y-%m-%d %H:%M:%S}"


def explained(folder: Path, header: str, row: str, **settings: Any) -> Explained:
    path = folder / "events"
    path.write_text(form_text(header, row))
    (found,) = explain_input(path, ReadSettings(**settings), WeightSettings())
    return found


@pytest.mark.parametrize(
    ("header", "users"),
    [
        ("user_id\titem_id\ttimestamp", "{u} {i}"),
        ("user_id\titem_id\ttimestamp", "['{u}', '{i}']"),
        ("", "{u}|{i}"),
    ],
)
def test_lists_of_users_are_refused(tmp_path: Path, header: str, users: str) -> None:
    row = f"{users}\ti{{i}}\t{{s}}"
    name = "user_id" if header else "#1"
    with pytest.raises(InputError, match=f"{name} holds lists.*or --user-column '{name}' if this is one id"):
        explained(tmp_path, header, row)
    assert explained(tmp_path, header, row, user_column=name).columns["user"] == name


def test_lists_in_a_text_of_json_are_refused(tmp_path: Path) -> None:
    row = '{{"user_id": "u{u}", "item_id": "{i}|{u}", "ts": {s}}}'
    with pytest.raises(InputError, match=r"item_id holds lists.*write one row per item"):
        explained(tmp_path, "", row)
    assert explained(tmp_path, "", row, item_column="item_id").columns["item"] == "item_id"


def test_second_time_of_an_event_is_a_warning(tmp_path: Path) -> None:
    found = explained(tmp_path, TIMES.format("updated_at"), f"{{u}},{{i}},{DAY},2021-03-0{{n}} 10:00:00")
    assert found.columns["time"] == "created_at"
    assert "although updated_at could be meant; give --time-column to decide" in found.warnings[0]


def test_second_kind_of_item_is_a_warning(tmp_path: Path) -> None:
    found = explained(tmp_path, "user_id,artist_id,track_id,timestamp", "{u},{n},{i},{s}")
    assert found.columns["item"] == "track_id"
    assert "item = track_id, although artist_id could be meant" in found.warnings[0]


def test_name_beside_the_number_of_a_user_is_no_warning(tmp_path: Path) -> None:
    found = explained(tmp_path, "user_id,username,item_id,timestamp", "{u},Kim {u},{i},{s}")
    assert found.columns["user"] == "user_id"
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("day", "{d:%Y%m%d}"),
        ("time_ms", "{s}000"),
        ("birth_date", "1991-03-0{n}"),
        ("release_date", "2021-03-0{n}"),
        ("order_no", "15{p:04d}1234"),
    ],
)
def test_other_form_of_the_time_or_time_of_something_else_is_no_warning(
    tmp_path: Path, name: str, value: str
) -> None:
    assert explained(tmp_path, TIMES.format(name), f"{{u}},{{i}},{DAY},{value}").warnings == ()


@pytest.mark.parametrize("owner", [0, 1])
def test_date_of_a_user_or_an_item_is_not_taken_as_time(tmp_path: Path, owner: int) -> None:
    header, *lines = form_text("user_id,item_id,since", "{u},{i}").splitlines()
    years = [2010 + int(line.split(",")[owner]) % 15 for line in lines]
    rows = [f"{line},{year}-03-01" for line, year in zip(lines, years, strict=True)]
    (tmp_path / "events").write_text("\n".join([header, *rows, ""]))
    with pytest.raises(InputError, match=r"no time column.*name it with --time-column since"):
        explain_input(tmp_path / "events", ReadSettings(), WeightSettings())


@pytest.mark.parametrize("row", ["{u},7{u}{n},{i},{s}", "u{u},s7{u}{n},{i}x,{s}"])
def test_session_beside_its_user_is_refused_without_a_header(tmp_path: Path, row: str) -> None:
    with pytest.raises(InputError, match=r"3 columns look like ids.*--user-column '#1'"):
        explained(tmp_path, "", row)


def test_items_first_with_times_in_words_are_refused_without_a_header(tmp_path: Path) -> None:
    # Each user has one day with all events, each item has events on all days.
    rows = [
        f"{(7 * n + user) % 90 + 1000},{user},2020-01-{user - 9:02d}T10:{n:02d}:00Z"
        for user in range(10, 40)
        for n in range(9)
    ]
    (tmp_path / "events").write_text("\n".join([*rows, ""]))
    with pytest.raises(InputError, match=r"the item may come first.*give the positions"):
        explain_input(tmp_path / "events", ReadSettings(), WeightSettings())


def test_user_that_only_some_events_have_is_a_warning(tmp_path: Path) -> None:
    header, *lines = form_text("anonymous_id,user_id,item_id,timestamp", "a{u},,{i},{s}").splitlines()
    rows = [line.replace(",,", ",u1,") if number % 3 == 0 else line for number, line in enumerate(lines)]
    (tmp_path / "events").write_text("\n".join([header, *rows, ""]))
    (found,) = explain_input(tmp_path / "events", ReadSettings(), WeightSettings())
    assert found.columns["user"] == "anonymous_id"
    assert "because user_id is empty in most rows; to use it anyway, give --user-column" in found.warnings[0]


def test_ids_that_a_spreadsheet_has_rounded_are_a_warning(tmp_path: Path) -> None:
    lines = described_lines(tmp_path, "user_id,item_id,timestamp", "1.{u}E+15,{i},{s}")
    warnings = [line for line in lines if "warning" in line]
    assert len(warnings) == 1
    assert "100% of the sampled users are rounded numbers, such as 1." in warnings[0]
    assert warnings[0].endswith("export the column as text")


@pytest.mark.parametrize(("row", "share"), [("{u},{i},{s}000", "50%"), ("{u},{i},-1", "50%")])
def test_times_that_are_not_of_the_detected_form_are_a_warning(tmp_path: Path, row: str, share: str) -> None:
    text = form_text("user_id,item_id,timestamp", "{u},{i},{s}") + form_text("", row)
    (tmp_path / "events").write_text(text)
    lines = read_and_described(tmp_path / "events")
    assert any(
        f"warning: {share} of the sampled times cannot be read as Unix time in seconds" in line
        for line in lines
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "user_id,item_id,timestamp\n1,a,b,1700000000\n2,b,c,1700000001\n",
            "no rows of 3 fields, as many as its first line has",
        ),
        ("user_id,item_id,timestamp\n", "no rows.*; it needs at least one event"),
        (
            "CREATE TABLE events (user_id int);\nINSERT INTO events VALUES (1, 2, 3);\n",
            "SQL",
        ),
        ("-- dump\nCOPY public.events (user_id, item_id, timestamp) FROM stdin;\n1\t2\t1700000000\n", "SQL"),
        ('{"count": 2,\n"events": [\n{"user_id": 1', "as jq -c '.events"),
        ("[1, 2, 1700000000]\n[2, 3, 1700000001]\n", "JSON lists.*write one object per line"),
        ("[[1, 2, 1700000000], [2, 3, 1700000001]]", "JSON lists.*write one object per line"),
    ],
    ids=["unnamed-column", "only-header", "inserts", "copy", "wrapped-json", "json-lists", "json-list"],
)
def test_file_of_which_no_row_would_be_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "events").write_text(text)
    with pytest.raises(InputError, match=message):
        explain_input(tmp_path / "events", ReadSettings(), WeightSettings())


def test_lines_with_another_number_of_fields_are_a_warning(tmp_path: Path) -> None:
    text = form_text("user_id,item_id,timestamp", "{u},{i},{s}") + form_text("", "{u},{i},{s},")
    (tmp_path / "events").write_text(text)
    lines = read_and_described(tmp_path / "events")
    assert lines[0].endswith("240 rows")
    assert any("warning: 50% of the sampled lines have another number of fields" in line for line in lines)


def test_files_whose_times_have_other_units_are_described_one_by_one(tmp_path: Path) -> None:
    for name, row in (("a", "{u},{i},{s}"), ("b", "{u},{i},{s}000"), ("c", "{u},{i},{s}")):
        (tmp_path / name).write_text(form_text("user_id,item_id,timestamp", row))
    seconds, of_seconds, milliseconds, of_milliseconds = read_and_described(tmp_path)
    assert "a and 1 more: " in seconds
    assert seconds.endswith("240 rows")
    assert "b: " in milliseconds
    assert ("Unix time in seconds" in of_seconds, "Unix time in milliseconds" in of_milliseconds) == (
        True,
        True,
    )


def test_binary_ids_are_shown_as_text(tmp_path: Path) -> None:
    columns = {"user_id": [b"u1", b"u2"], "item_id": [b"i1", b"i2"], "timestamp": [1_700_000_000] * 2}
    pq.write_table(pa.table(columns), tmp_path / "events.parquet")
    assert "user = user_id (2 distinct, such as u1)" in read_and_described(tmp_path / "events.parquet")[1]


def described_lines(folder: Path, header: str, row: str) -> list[str]:
    (folder / "events").write_text(form_text(header, row))
    return read_and_described(folder / "events")


def read_and_described(path: Path) -> list[str]:
    found = explain_input(path, ReadSettings(), WeightSettings())
    return list(described(found, ReadSettings(), WeightSettings()))
