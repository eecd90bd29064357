"""Keys of the stage's configuration whose value or meaning has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local.review.compare import ABSENT
from local.review.snapshot import Snapshot

FACTS = ("stage", "region", "tags.")  # values of other keys, which `effective` repeats


@dataclass(frozen=True, kw_only=True)
class ConfigChange:
    """A key whose value has changed.

    Attributes:
        in_file: the stage file says so; otherwise the key is not in the file and its default has changed.
    """

    key: str
    old: Any
    new: Any
    in_file: bool


def config_changes(before: Snapshot, after: Snapshot) -> list[ConfigChange]:
    """Changed keys, changed defaults first: the stage file does not show these."""
    if not (before.exists and after.exists):
        return []
    found = []
    for key in sorted({*before.config, *after.config, *before.effective, *after.effective}):
        written = before.config.get(key, ABSENT), after.config.get(key, ABSENT)
        effective = before.effective.get(key, ABSENT), after.effective.get(key, ABSENT)
        if written[0] != written[1]:
            found.append(ConfigChange(key=key, old=written[0], new=written[1], in_file=True))
        elif effective[0] != effective[1] and not key.partition(":")[2].startswith(FACTS):
            found.append(ConfigChange(key=key, old=effective[0], new=effective[1], in_file=False))
    return sorted(found, key=lambda each: (each.in_file, each.key))
