"""Answers that the API recorded, and clicks of its users, as they are compared.

Ids are those of the platform (`ml.contract.canonical_id`): 7 for 7.0.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.errors import BadInputError
from ml.contract import canonical_id

RECORDED = "answer recorded"  # message of the API's log line
DIGEST_LENGTH = 16
CLICK_COLUMNS = ("user_id", "item_id", "time")


@dataclass(frozen=True)
class Answer:
    """A recorded answer; times in Unix seconds."""

    time: float
    user: str
    version: str
    items: frozenset[str]
    latency_ms: float
    error: str


@dataclass(frozen=True)
class Click:
    """A click of a user on an item."""

    time: float
    user: str
    item: str


def user_digest(user_id: str) -> str:
    """Digest that the API records instead of a user id."""
    return hashlib.sha256(canonical_id(user_id).encode()).hexdigest()[:DIGEST_LENGTH]


def read_answers(lines: Iterable[str]) -> list[Answer]:
    """Recorded answers among the lines of the API's log.

    Raises:
        BadInputError: a line of a recorded answer is damaged.
    """
    answers = []
    for number, line in enumerate(lines, 1):
        if RECORDED not in line:
            continue
        try:
            found = json.loads(line)
            if found.get("message") == RECORDED:
                answers.append(_answer(found))
        except (ValueError, KeyError, TypeError) as error:
            raise BadInputError(f"line {number} of the log is not a recorded answer: {error!r}") from None
    return answers


def _answer(line: Mapping[str, Any]) -> Answer:
    return Answer(
        float(line["answered_at"]),
        line["user"],
        line["model_version"],
        frozenset(line["items"]),
        float(line["latency_ms"]),
        line["error"],
    )


def read_clicks(path: Path) -> list[Click]:
    """Clicks of a CSV file with the columns user_id, item_id and time (Unix seconds or ISO 8601).

    Raises:
        BadInputError: the file cannot be read, a column or value is missing, or a time is not readable.
    """
    # utf-8-sig: Excel writes a byte order mark
    reader = csv.DictReader(io.StringIO(read_text(path, "utf-8-sig"), newline=""))
    missing = [name for name in CLICK_COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise BadInputError(f"{path}: no column {missing[0]}; write {', '.join(CLICK_COLUMNS)}")
    return [_click(row, f"{path} row {number}") for number, row in enumerate(reader, 2)]


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file.

    Raises:
        BadInputError: it cannot be read.
    """
    try:
        return path.read_text(encoding)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: cannot be read: {error}") from error


def _click(row: Mapping[str, str | None], place: str) -> Click:
    user, item, time = (row[name] for name in CLICK_COLUMNS)
    if not user or not item or not time:
        raise BadInputError(f"{place}: a value is missing; write {', '.join(CLICK_COLUMNS)}")
    return Click(_seconds(time, place), user_digest(user), canonical_id(item))


def _seconds(text: str, place: str) -> float:
    with contextlib.suppress(ValueError):
        if math.isfinite(seconds := float(text)):
            return seconds
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInputError(f"{place}: time is {text!r}; write Unix seconds or ISO 8601") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
