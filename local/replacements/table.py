"""Table of the inputs that force a replacement, measured by `local.replacements.measure`."""

from __future__ import annotations

import functools
import json
from enum import Enum
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("table.json")


class Effect(Enum):
    """Effect of a changed input."""

    REPLACES = "replaces"
    UPDATES = "updates"
    UNKNOWN = "unknown"


@functools.cache
def document() -> dict[str, Any]:
    """The table with its source."""
    return dict(json.loads(TABLE.read_text(encoding="utf-8")))


@functools.cache
def _effects(type_token: str) -> dict[str, Effect]:
    rows = document()["types"].get(type_token, {})
    return {path: Effect(effect) for effect, paths in rows.items() for path in paths}


def effect(type_token: str, path: str) -> Effect:
    """Effect of a changed input, such as `rules.expiration.days`; keys of maps have their map's.

    A path that the table does not have, and a type that it does not have, are unknown.
    """
    rows = _effects(type_token)
    while path not in rows and "." in path:
        path = path.rpartition(".")[0]
    return rows.get(path, Effect.UNKNOWN)
