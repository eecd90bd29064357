"""The job runs on EMR 7, whose default Python is 3.9."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.ml.conftest import ROOT

SOURCES = [
    ROOT / "ml" / "contract.py",
    ROOT / "ml" / "manifest.py",
    *(ROOT / "ml" / "preparation").rglob("*.py"),
]
NOT_IN_3_9 = {
    "UTC": "datetime.UTC",
    "Self": "typing.Self",
    "StrEnum": "enum.StrEnum",
    "assert_never": "typing",
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_that_emr_runs_is_python_3_9(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert not imported & set(NOT_IN_3_9)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Match)]
    keywords = {word.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for word in node.keywords}
    assert not keywords & {"strict", "kw_only", "slots"}, (
        "zip(strict=) and dataclass(kw_only=, slots=) are 3.10"
    )
    if any(isinstance(node, (ast.AnnAssign, ast.FunctionDef)) for node in ast.walk(tree)):
        assert "annotations" in imported, "X | None in an annotation needs from __future__ import annotations"
