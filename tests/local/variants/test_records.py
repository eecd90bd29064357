"""Recorded answers and clicks: what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.errors import BadInputError
from local.variants.records import Answer, Click, read_answers, read_clicks, user_digest

CONTROL = "20261123T020000Z"


def test_records_are_read_from_the_log_of_the_api() -> None:
    line = {
        "message": "answer recorded",
        "answered_at": 5.5,
        "user": user_digest("42"),
        "model_version": CONTROL,
        "items": ["7"],
        "latency_ms": 3.5,
        "error": "",
    }
    lines = ["START RequestId", json.dumps(line), json.dumps({"message": "request answered"})]
    assert read_answers(lines) == [Answer(5.5, user_digest("42"), CONTROL, frozenset({"7"}), 3.5, "")]


def test_clicks_are_read_as_the_ids_of_the_platform(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("user_id,item_id,time\n42,7,1970-01-01T00:01:00Z\n42.0, 8.0,61\n", "utf-8-sig")
    clicks = read_clicks(path)
    assert clicks == [Click(60.0, user_digest("42"), "7"), Click(61.0, user_digest("42"), "8")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user_id,item_id,time\n42,7,yesterday\n", "row 2: time is 'yesterday'"),
        ("user_id,item_id,time\n42,7,nan\n", "row 2: time is 'nan'"),
        ("user_id,item_id,time\n42,7,5\n42,7\n", "row 3: a value is missing"),
        ("user_id,time\n42,7\n", "no column item_id"),
        (b"\xff\xfe", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_what_is_wrong_with_the_clicks_is_named(
    tmp_path: Path, content: str | bytes | None, message: str
) -> None:
    path = tmp_path / "clicks.csv"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadInputError, match=f"^{path}.*{message}"):
        read_clicks(path)


def test_damaged_record_is_named() -> None:
    with pytest.raises(BadInputError, match="line 2 of the log is not a recorded answer"):
        read_answers(["START RequestId", '{"message": "answer recorded", "answ'])
