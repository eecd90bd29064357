"""Patterns of file names: ``*``, ``?``, ``[a-z]`` and ``{csv,tsv}``."""

from __future__ import annotations

import re

_WILDCARD = re.compile(r"[*?\[{]")
_BRACES = re.compile(r"\{([^{}]*)\}")


def has_wildcard(path: str) -> bool:
    """Whether a path can be a pattern."""
    return _WILDCARD.search(path) is not None


def alternatives(pattern: str) -> list[str]:
    """The patterns without braces that a pattern stands for."""
    braces = _BRACES.search(pattern)
    if braces is None:
        return [pattern]
    parts = (f"{pattern[: braces.start()]}{each}{pattern[braces.end() :]}" for each in braces[1].split(","))
    return [each for part in parts for each in alternatives(part)]
