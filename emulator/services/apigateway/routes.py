"""Routing of a request to an HTTP API: stage and route by path and method."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from emulator.wire import Request

DEFAULT = "$default"


@dataclass(frozen=True)
class Matched:
    """A route and its decoded path parameters."""

    route: Any
    parameters: dict[str, str]


@dataclass
class Exchange:
    """A request to an API and its outcome.

    Attributes:
        path: below the stage, percent-encoded.
        started: seconds since 1970.
        perf_counter_start: ``time.perf_counter()`` at the start, for latencies.
    """

    request: Request
    api: Any
    stage: Any
    path: str
    account_id: str
    matched: Matched | None = None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.time)
    perf_counter_start: float = field(default_factory=time.perf_counter)
    integration_ms: float | None = None
    integration_error: str = ""

    @property
    def route_key(self) -> str:
        """Key of the matched route; ``-`` without one."""
        return self.matched.route.route_key if self.matched else "-"


def split_stage(stages: Mapping[str, Any], path: str) -> tuple[Any, str]:
    """(stage, path below it): the stage named by the first segment, else ``$default``, else None."""
    first, _, rest = path.removeprefix("/").partition("/")
    if first in stages and first != DEFAULT:
        return stages[first], f"/{rest}"
    return stages.get(DEFAULT), path


def match_route(routes: Sequence[Any], method: str, path: str) -> Matched | None:
    """The most specific route (API Gateway guide, "Routing API requests"): literals before parameters
    before greedy ones, a method before ANY, and ``$default`` for the rest.

    Args:
        path: percent-encoded.
    """
    candidates = []
    for route in routes:
        if route.route_key == DEFAULT:
            continue
        wanted, _, pattern = route.route_key.partition(" ")
        found = re.fullmatch(_regex(pattern), path)
        if found and wanted in (method, "ANY"):
            candidates.append((_rank(pattern), wanted == "ANY", route, found))
    if candidates:
        _, _, route, found = min(candidates, key=lambda candidate: candidate[:2])
        names = re.findall(r"\{([^}+]+)\+?\}", route.route_key)
        values = (unquote(value) for value in found.groups())
        return Matched(route, dict(zip(names, values, strict=True)))
    return next((Matched(route, {}) for route in routes if route.route_key == DEFAULT), None)


def _segments(pattern: str) -> list[str]:
    return pattern.split("/")[1:]


def _regex(pattern: str) -> str:
    parts = []
    for segment in _segments(pattern):
        if re.fullmatch(r"\{[^}]+\+\}", segment):
            parts.append("/(.+)")
        elif re.fullmatch(r"\{[^}]+\}", segment):
            parts.append("/([^/]+)")
        else:
            parts.append("/" + re.escape(segment))
    return "".join(parts)


def _rank(pattern: str) -> list[int]:
    return [2 if segment.endswith("+}") else int(segment.startswith("{")) for segment in _segments(pattern)]
