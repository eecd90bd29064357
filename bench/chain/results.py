"""Results of fault injection: a file that grows with each injection, and the table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.chain.batch import Injection, Result
from bench.chain.short_bundle import KEPT

# What the injections exercise: results of other code are not continued.
PLATFORM = (
    *("__main__.py", "Pulumi.yaml", "Pulumi.dev.yaml", "stacks", "components", "lambdas", "requirements"),
    *("emulator", "ci/bundle.py", "ci/publish.py"),
    *("local/aws.py", "local/chain.py", "local/deploy", "local/timeline.py", "local/up.py"),
    *("bench/chain", "bench/prepared_runs.py", "docs/runbook.md"),
)
RECORDED_STEPS = (*PLATFORM, *KEPT)
REAL_STEPS = (
    *PLATFORM,
    "ml/contract.py",
    "ml/manifest.py",
    "ml/ncf",
    "ml/pipeline",
    "ml/serving",
    "ml/settings",
)
# What a recording contains.
RECORDED = (
    "ml",
    "requirements",
    "bench/chain/recorder.py",
    "bench/chain/runs.py",
    "bench/chain/replay/artifact.py",
    "bench/chain/replay/inference.py",
)
SUFFIXES = (".py", ".json", ".yaml", ".template", ".txt", ".lock")  # of the files in the folders


class OtherCodeError(ValueError):
    """The results in a file are of other code."""


def code_digest(root: Path, sources: Sequence[str]) -> str:
    """Digest of files, and of the code in folders, below a root."""
    digest = hashlib.sha256()
    for source in sources:
        place = root / source
        found = (path for path in sorted(place.rglob("*")) if path.suffix in SUFFIXES)
        for path in [place] if place.is_file() else found:
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class ResultFile:
    """JSON Lines: a head with the digest of the code and the steps (recorded or real), then results."""

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self._path = path
        self.results: list[Result] = []
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(head) + "\n", encoding="utf-8")
            return
        found, *lines = path.read_text(encoding="utf-8").splitlines()
        if json.loads(found) != dict(head):
            raise OtherCodeError(f"{path}: results of other code or steps; --fresh discards them")
        self.results = [Result(**json.loads(line)) for line in lines]

    def add(self, result: Result) -> None:
        """Append a result."""
        self.results.append(result)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result.as_dict()) + "\n")

    def missing(self, wanted: Iterable[Injection]) -> list[Injection]:
        """The injections without a result."""
        done = {(result.kind, result.seed) for result in self.results}
        return [each for each in wanted if (each.kind, each.seed) not in done]


def summary(results: Sequence[Result]) -> Iterator[dict[str, Any]]:
    """Per kind: seeds, broken invariants, hits, requests, CPU and median duration."""
    for kind in dict.fromkeys(result.kind for result in results):
        own = [result for result in results if result.kind == kind]
        yield {
            "fault": kind.replace("_", " "),
            "injections": len(own),
            "broken": sum(bool(result.broken) for result in own),
            "hits": "" if own[0].hit is None else f"{sum(bool(result.hit) for result in own)}",
            "API requests": sum(result.n_requests for result in own),
            "CPU s": round(float(np.mean([result.cpu_s for result in own])), 1),
            "median s": round(float(np.median([result.seconds for result in own])), 1),
        }


def markdown(results: Sequence[Result]) -> str:
    """The summary as a table, with the broken invariants below it."""
    rows = list(summary(results))
    if not rows:
        return "no results\n"
    lines = [f"| {' | '.join(rows[0])} |", f"|{' --- |' * len(rows[0])}"]
    lines += [f"| {' | '.join(str(value) for value in row.values())} |" for row in rows]
    broken = [f"- {result.kind} {result.seed}: {each}" for result in results for each in result.broken]
    return "\n".join([*lines, *([""] if broken else []), *broken]) + "\n"
