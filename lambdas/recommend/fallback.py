"""Recommendations without the model: the newest popular list, held in memory.

`deploy_model` writes the list to S3 when a rollout ends: ``{"schema_version": 1, "model_version": "…",
"items": [{"item_id": "7", "score": 120}, …]}``, most popular first. Its scores are numbers of interactions.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ids import canonical_id
from logic import Query

SCHEMA_VERSION = 1
STRATEGY = "fallback"

_log = logging.getLogger("recommend")


class PopularListError(Exception):
    """The list cannot be read now."""


@dataclass(frozen=True)
class PopularList:
    """Popular items of a model: ids and scores, most popular first."""

    model_version: str
    items: tuple[tuple[str, float], ...]

    @classmethod
    def parse(cls, content: bytes) -> PopularList:
        """The list in an S3 object.

        Raises:
            PopularListError: the content is not a list of this version.
        """
        try:
            document = json.loads(content)
            version, model_version = document["schema_version"], document["model_version"]
            items = tuple((item["item_id"], float(item["score"])) for item in document["items"])
        except (ValueError, KeyError, TypeError) as error:
            raise PopularListError(f"not a popular list: {error!r}") from error
        if version != SCHEMA_VERSION:
            raise PopularListError(f"schema_version is {version}; this code reads {SCHEMA_VERSION}")
        is_text = isinstance(model_version, str) and all(isinstance(item_id, str) for item_id, _ in items)
        if not is_text or not all(math.isfinite(score) for _, score in items):
            raise PopularListError("not a popular list: an id is not text, or a score is not finite")
        return cls(model_version, items)

    def recommend(self, query: Query) -> list[dict[str, Any]]:
        """The k most popular allowed items for each user of a query; the items that users saw are not known.

        Candidates that are not in the list follow it in the order of the request, with score 0. Recent items
        are not recommended, and have no other effect.
        """
        recent = query.recent_items or ()
        excluded = {canonical_id(item) for item in (*query.exclude_items, *(item.item_id for item in recent))}
        ranked: Iterable[tuple[str, float]] = self.items
        if query.candidates is not None:
            candidates = dict.fromkeys(canonical_id(item) for item in query.candidates)
            scores = dict(item for item in self.items if item[0] in candidates)
            ranked = (scores | {item: 0.0 for item in candidates if item not in scores}).items()
        allowed = ({"item_id": item, "score": score} for item, score in ranked if item not in excluded)
        answer: dict[str, Any] = {"items": list(islice(allowed, query.k)), "strategy": STRATEGY}
        if query.recent_items is not None:
            answer["ignored_items"] = len(query.recent_items)
        return [{"user_id": user_id, **answer} for user_id in query.user_ids]


# Before the first model was deployed: what the bootstrap model answers.
EMPTY = PopularList("bootstrap", ())


class PopularListCache:
    """The newest popular list, kept in the execution environment.

    Args:
        read: reads the list; raises PopularListError.
        retry_s: pause after a failed read, so that an outage of S3 does not slow down every request.
        clock: monotonic time in seconds.
    """

    def __init__(
        self,
        read: Callable[[], PopularList],
        *,
        retry_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._retry_s = retry_s
        self._clock = clock
        self._list: PopularList | None = None
        self._read_at = -math.inf
        self._failed_at = -math.inf

    def newest(self, max_age_s: float) -> PopularList | None:
        """The list, read again if it is older; the last one if it cannot be read; None if there is none."""
        now = self._clock()
        if now - self._read_at >= max_age_s and now - self._failed_at >= self._retry_s:
            try:
                self._list, self._read_at = self._read(), now
            except PopularListError as error:
                self._failed_at = now
                _log.error("popular list not read", extra={"reason": str(error)})
        return self._list
