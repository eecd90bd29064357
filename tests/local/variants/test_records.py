"""Recorded answers and clicks: what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.errors import BadInputError
from local.variants.records import Answer, Click, UserKey, read_answers, read_clicks

CONTROL = "20261123T020000Z"
KEY = UserKey(bytes(range(32)))


def test_records_are_read_from_the_log_of_the_api() -> None:
    line = {
        "message": "answer recorded",
        "answered_at": 5.5,
        "user": KEY.digest("42"),
        "user_key": KEY.id,
        "model_version": CONTROL,
        "items": ["7"],
        "latency_ms": 3.5,
        "error": "",
    }
    lines = ["START RequestId", json.dumps(line), json.dumps({"message": "request answered"})]
    assert list(read_answers(lines)) == [
        Answer(5.5, KEY.digest("42"), KEY.id, CONTROL, frozenset({"7"}), 3.5, "")
    ]
    assert list(read_answers(lines, since=5.6)) == []


def test_clicks_are_read_as_the_ids_of_the_platform(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("user_id,item_id,time\n42,7,1970-01-01T00:01:00Z\n42.0, 8.0,61\n", "utf-8-sig")
    clicks = read_clicks(path, KEY)
    assert clicks == [Click(60.0, KEY.digest("42"), "7"), Click(61.0, KEY.digest("42"), "8")]


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
        read_clicks(path, KEY)


def test_damaged_record_is_named() -> None:
    with pytest.raises(BadInputError, match="line 2 of the log is not a recorded answer"):
        list(read_answers(["START RequestId", '{"message": "answer recorded", "answ']))


def test_digest_of_a_user_needs_the_key() -> None:
    other = UserKey(bytes(32))
    assert KEY.digest("42") == KEY.digest(" 42.0 ") != other.digest("42")
    # RFC 4231, test case 2: HMAC-SHA-256 with the key "Jefe"
    assert UserKey(b"Jefe").digest("what do ya want for nothing?") == "5bdcc146bf60754e"
