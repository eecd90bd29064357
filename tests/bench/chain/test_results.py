"""Results of fault injection go on after an interruption, and only for the same code."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.chain.batch import Injection, Result
from bench.chain.results import (
    REAL_STEPS,
    RECORDED,
    RECORDED_STEPS,
    OtherCodeError,
    ResultFile,
    code_digest,
    markdown,
)
from bench.chain.short_bundle import JOBS
from tests.repository import ROOT
from tests.test_imports import imports, resolved

HEAD = {"code": "1", "steps": "recorded"}
KILLED = Result("killed_build", 1, 2.5, [], "ml.pipeline", 12, 4.2, hit=True)
BROKEN = Result("lost_event", 1, 3.5, ["no event without an outcome: x"], "", 10)


def test_injection_with_a_result_is_not_repeated(tmp_path: Path) -> None:
    ResultFile(tmp_path / "results.jsonl", HEAD).add(KILLED)
    again = ResultFile(tmp_path / "results.jsonl", HEAD)
    assert again.results == [KILLED]
    wanted = [Injection("killed_build", 1), Injection("killed_build", 2)]
    assert again.missing(wanted) == [Injection("killed_build", 2)]


def test_results_of_other_code_are_not_continued(tmp_path: Path) -> None:
    ResultFile(tmp_path / "results.jsonl", HEAD)
    with pytest.raises(OtherCodeError, match="--fresh"):
        ResultFile(tmp_path / "results.jsonl", {**HEAD, "code": "2"})


def test_digest_changes_with_the_code_and_named_files_but_not_with_other_documents(tmp_path: Path) -> None:
    files = {name: tmp_path / "ml" / name for name in ("a.py", "named.md", "other.md")}
    (tmp_path / "ml").mkdir()
    for path in files.values():
        path.write_text("1")
    digests = []
    for name in (None, "a.py", "named.md", "other.md"):
        if name is not None:
            files[name].write_text("2")
        digests.append(code_digest(tmp_path, ("ml", "ml/named.md")))
    assert len(set(digests[:3])) == 3
    assert digests[3] == digests[2]


def test_digest_covers_every_module_that_a_fault_run_imports() -> None:
    modules = {name for path in (ROOT / "bench" / "chain").rglob("*.py") for name in imports(path)}
    packages = ("ml.", "local.", "emulator.", "bench.", "ci.", "components.", "stacks.")
    named = {resolved(name) for name in modules if name.startswith(packages)} - {None}
    files = {f"{name.replace('.', '/')}.py" for name in named if name is not None}
    assert {file for file in files if not file.startswith(RECORDED_STEPS)} == {*JOBS} & files
    assert all((ROOT / source).exists() for source in (*RECORDED_STEPS, *REAL_STEPS, *RECORDED))


def test_digest_of_recorded_steps_leaves_out_the_code_that_they_replace() -> None:
    assert not any("ml/ncf/model/ncf.py".startswith(source) for source in RECORDED_STEPS)
    assert any("ml/ncf/model/ncf.py".startswith(source) for source in REAL_STEPS)


def test_table_counts_broken_injections_and_names_the_invariants() -> None:
    text = markdown([KILLED, BROKEN])
    assert "| killed build | 1 | 0 | 1 | 12 | 4.2 | 2.5 |" in text
    assert "| lost event | 1 | 1 |  | 10 | 0.0 | 3.5 |" in text
    assert "- lost_event 1: no event without an outcome: x" in text
