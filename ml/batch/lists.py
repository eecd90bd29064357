"""Lists of a model's users, by the request handler of the endpoint, in parts of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from ml.contract import MAX_INSTANCES
from ml.serving import inference
from ml.serving.request import Instance
from ml.serving.store import Recommender

USERS_PER_PART = 50_000  # about 50 MB with lists of 50 items
ITEM = pa.struct([("item_id", pa.string()), ("score", pa.float32())])
SCHEMA = pa.schema([("user_id", pa.string()), ("items", pa.list_(ITEM)), ("strategy", pa.string())])


def n_users(model: Recommender) -> int:
    """Number of users of a model; 0 for the bootstrap model."""
    data = model.artifact.data
    return 0 if data is None else len(data.user_ids)


def lists_of(model: Recommender, users: range, top_n: int) -> pa.Table:
    """The lists of users given by their indices: one row per user, best items first.

    Args:
        model: the loaded artifact.
        users: indices below `n_users`.
        top_n: items per user; a list is shorter if the user has seen nearly all items.

    Returns:
        Columns `user_id`, `items` (a list of `item_id` and `score`) and `strategy`, as in the endpoint's
        response.
    """
    predictions: list[Mapping[str, Any]] = []
    for batch in _batches(users):
        predictions += inference.predict_fn(_instances(model, batch, top_n), model)["predictions"]
    return pa.Table.from_pylist([dict(each) for each in predictions], schema=SCHEMA)


def documents(part: pa.Table, model_version: str) -> Iterator[dict[str, Any]]:
    """A document of the feature store per row."""
    for batch in part.to_batches(max_chunksize=1_000):
        for row in batch.to_pylist():
            yield {"_id": row.pop("user_id"), **row, "model_version": model_version}


def _batches(users: range) -> Iterator[range]:
    for start in range(0, len(users), MAX_INSTANCES):
        yield users[start : start + MAX_INSTANCES]


def _instances(model: Recommender, users: range, top_n: int) -> list[Instance]:
    data = model.artifact.data
    assert data is not None  # noqa: S101 - a range of users is empty without data
    return [Instance(user_id=data.user_ids[user], k=top_n) for user in users]
