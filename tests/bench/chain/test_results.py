"""Results of fault injection go on after an interruption, and only for the same code."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.chain.batch import Injection, Result
from bench.chain.results import OtherCodeError, ResultFile, code_digest, markdown

HEAD = {"code": "1", "steps": "recorded"}
KILLED = Result("killed_build", 1, 2.5, [], "ml.pipeline", 12)
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


def test_digest_changes_with_the_code(tmp_path: Path) -> None:
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "a.py").write_text("a = 1\n")
    before = code_digest(tmp_path)
    (tmp_path / "ml" / "a.py").write_text("a = 2\n")
    assert code_digest(tmp_path) != before


def test_table_counts_broken_injections_and_names_the_invariants() -> None:
    text = markdown([KILLED, BROKEN])
    assert "| killed build | 1 | 0 | 12 | 2.5 |" in text
    assert "| lost event | 1 | 1 | 10 | 3.5 |" in text
    assert "- lost_event 1: no event without an outcome: x" in text
