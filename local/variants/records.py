"""Answers that the API recorded, and clicks of its users, as they are compared.

Ids are those of the platform (`ml.contract.canonical_id`): 7 for 7.0.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import hmac
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.errors import BadInputError
from ml.contract import canonical_id

RECORDED = "answer recorded"  # message of the API's log line
DIGEST_LENGTH, ID_LENGTH = 16, 8
CLICK_COLUMNS = ("user_id", "item_id", "time")


@dataclass(frozen=True)
class Answer:
    """A recorded answer; times in Unix seconds.

    Attributes:
        user: digest of the user.
        user_key: id of the digest's key.
    """

    time: float
    user: str
    user_key: str
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


@dataclass(frozen=True)
class UserKey:
    """Secret key with which the API names the users of recorded answers (lambdas/recommend/recording.py)."""

    secret: bytes

    @property
    def id(self) -> str:
        """What a record says of its key."""
        return hashlib.sha256(self.secret).hexdigest()[:ID_LENGTH]

    def digest(self, user_id: str) -> str:
        """What the API records for a user."""
        named = canonical_id(user_id).encode()
        return hmac.new(self.secret, named, hashlib.sha256).hexdigest()[:DIGEST_LENGTH]


def read_answers(lines: Iterable[str], since: float = 0.0) -> Iterator[Answer]:
    """Recorded answers among the lines of the API's log, one at a time.

    Args:
        lines: lines of the log.
        since: Unix seconds; earlier answers are left out.

    Raises:
        BadInputError: a line of a recorded answer is damaged.
    """
    for number, line in enumerate(lines, 1):
        if RECORDED not in line:
            continue
        try:
            found = json.loads(line)
            if found.get("message") != RECORDED:
                continue
            answer = _answer(found)
        except (ValueError, KeyError, TypeError) as error:
            raise BadInputError(f"line {number} of the log is not a recorded answer: {error!r}") from None
        if answer.time >= since:
            yield answer


def _answer(line: Mapping[str, Any]) -> Answer:
    return Answer(
        float(line["answered_at"]),
        line["user"],
        line["user_key"],
        line["model_version"],
        frozenset(line["items"]),
        float(line["latency_ms"]),
        line["error"],
    )


def read_clicks(path: Path, key: UserKey) -> list[Click]:
    """Clicks of a CSV file with the columns user_id, item_id and time (Unix seconds or ISO 8601).

    Args:
        path: path of the file.
        key: key of the recorded answers; users are their digests.

    Raises:
        BadInputError: the file cannot be read, a column or value is missing, or a time is not readable.
    """
    # utf-8-sig: Excel writes a byte order mark
    reader = csv.DictReader(io.StringIO(read_text(path, "utf-8-sig"), newline=""))
    missing = [name for name in CLICK_COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise BadInputError(f"{path}: no column {missing[0]}; write {', '.join(CLICK_COLUMNS)}")
    return [_click(row, f"{path} row {number}", key) for number, row in enumerate(reader, 2)]


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file.

    Raises:
        BadInputError: it cannot be read.
    """
    try:
        return path.read_text(encoding)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: cannot be read: {error}") from error


def _click(row: Mapping[str, str | None], place: str, key: UserKey) -> Click:
    user, item, time = (row[name] for name in CLICK_COLUMNS)
    if not user or not item or not time:
        raise BadInputError(f"{place}: a value is missing; write {', '.join(CLICK_COLUMNS)}")
    return Click(seconds(time, place), key.digest(user), canonical_id(item))


def seconds(text: str, place: str) -> float:
    """Unix seconds of a time in Unix seconds or ISO 8601; UTC if it names no zone.

    Raises:
        BadInputError: it is neither; the message begins with the place.
    """
    with contextlib.suppress(ValueError):
        if math.isfinite(found := float(text)):
            return found
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInputError(f"{place}: time is {text!r}; write Unix seconds or ISO 8601") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
