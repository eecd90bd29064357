"""Compatibility with Python 3.9, the default Python of EMR 7."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ml.conftest import ROOT

SOURCES = [
    ROOT / "ml" / "contract.py",
    ROOT / "ml" / "manifest.py",
    *(ROOT / "ml" / "settings").rglob("*.py"),
    *(ROOT / "ml" / "preparation").rglob("*.py"),
]
NOT_IN_3_9 = {
    "UTC": "datetime.UTC",
    "Self": "typing.Self",
    "StrEnum": "enum.StrEnum",
    "assert_never": "typing",
}


def annotations(tree: ast.Module) -> Iterator[ast.expr]:
    """The annotations of variables, arguments and results."""
    for node in ast.walk(tree):
        found = getattr(node, "annotation", None) or getattr(node, "returns", None)
        if found is not None:
            yield found


def has_union(annotation: ast.expr) -> bool:
    """Whether an annotation contains X | Y."""
    return any(
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) for node in ast.walk(annotation)
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_of_the_job_is_python_3_9(path: Path) -> None:
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
    if any(has_union(annotation) for annotation in annotations(tree)):
        assert "annotations" in imported, "X | None in an annotation needs from __future__ import annotations"
