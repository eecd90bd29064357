"""Recommendations for a user, beside the items that the user interacted with last."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from local.api import recommend
from local.console.source import Source
from local.errors import BadInputError
from ml import contract

DELIMITERS = ",\t|;"
SNIFFED_CHARACTERS = 8192


@dataclass(frozen=True)
class RunTables:
    """Tables of a prepared run that tell the history of a user."""

    users: pa.Table
    items: pa.Table
    features: pa.Table

    def history(self, user_id: str) -> list[str] | None:
        """The user's last items of the training split, newest first; None for an unknown user."""
        user = self.users.filter(pc.field("user_id") == user_id)
        if not user.num_rows:
            return None
        index = user["user_index"][0].as_py()
        found = self.features.filter(pc.field("user_index") == index)
        if not found.num_rows:
            return []
        positions = found["last_items"][0].as_py()
        chosen = self.items.filter(pc.field("item_index").isin(positions))
        names = dict(zip(chosen["item_index"].to_pylist(), chosen["item_id"].to_pylist(), strict=True))
        return [names[position] for position in positions]


class Visitors:
    """Histories and recommendations of users.

    Args:
        source: the stage.
        titles: names of items by item id; shown beside the ids.
    """

    def __init__(self, source: Source, titles: Mapping[str, str]) -> None:
        self._source = source
        self._titles = titles
        self._lock = threading.Lock()
        self._tables = lru_cache(maxsize=1)(self._read_tables)

    def visit(self, run_id: str | None, user_id: str, recent_items: Sequence[str], k: int) -> dict[str, Any]:
        """Response of the API for a user and a session, and the user's history in the run of the model."""
        answer = recommend(self._source, user_id, k, recent_items=recent_items, auth=self._source.api_auth)
        history = None
        if run_id:
            with self._lock:
                history = self._tables(run_id).history(contract.canonical_id(user_id))
        return {
            **{name: answer.get(name) for name in ("user_id", "strategy", "model_version", "ignored_items")},
            "items": [{**self._item(each["item_id"]), "score": each["score"]} for each in answer["items"]],
            "history": None if history is None else [self._item(each) for each in history],
        }

    def _item(self, item_id: str) -> dict[str, str]:
        return {"item_id": item_id, "title": self._titles.get(item_id, "")}

    def _read_tables(self, run_id: str) -> RunTables:
        return RunTables(
            users=self._table(run_id, contract.USERS_FILE, ["user_id", "user_index"]),
            items=self._table(run_id, contract.ITEMS_FILE, ["item_id", "item_index"]),
            features=self._table(run_id, contract.USER_FEATURES_FILE, ["user_index", "last_items"]),
        )

    def _table(self, run_id: str, name: str, columns: list[str]) -> pa.Table:
        key = contract.run_prefix(run_id) + name
        found = self._source.client("s3").get_object(Bucket=self._source.outputs["data_bucket"], Key=key)
        return pq.read_table(io.BytesIO(found["Body"].read()), columns=columns)


def read_titles(path: Path) -> dict[str, str]:
    """Titles by item id: the first two columns of a delimited text file, in UTF-8 or Latin-1.

    Raises:
        BadInputError: the file cannot be read, or has a single column.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    try:
        dialect = csv.Sniffer().sniff(text[:SNIFFED_CHARACTERS], DELIMITERS)
    except csv.Error:
        raise BadInputError(
            f"{path}: no columns found: expected item id and title, such as `7,Red shoes`"
        ) from None
    return {row[0]: row[1] for row in csv.reader(io.StringIO(text), dialect) if len(row) > 1}
