"""Compatibility with Python 3.9, the default Python of EMR 7."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ml.conftest import ROOT

SOURCES = [
    ROOT / "ml" / "contract.py",
    ROOT / "ml" / "feature_store.py",
    ROOT / "ml" / "manifest.py",
    *(ROOT / "ml" / "settings").rglob("*.py"),
    *(ROOT / "ml" / "preparation").rglob("*.py"),
]


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


def test_job_uses_only_syntax_and_modules_of_python_3_9() -> None:
    done = run_vermin(*map(str, SOURCES))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("from datetime import UTC", "'datetime.UTC' member requires !2, 3.11"),
        ("zip([], strict=True)", "'zip(strict)' requires !2, 3.10"),
        ("match 1:\n    case _: pass", "pattern matching requires !2, 3.10"),
    ],
)
def test_later_python_is_refused_with_what_needs_it(tmp_path: Path, line: str, needs: str) -> None:
    (tmp_path / "module.py").write_text(f"{line}\n")
    done = run_vermin(str(tmp_path / "module.py"))
    assert done.returncode == 1
    assert needs in done.stdout


def run_vermin(*paths: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("vermin")),
        "--target=3.9-",
        "--violations",
        "--no-tips",
        *paths,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_union_in_an_annotation_is_not_evaluated(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    if any(has_union(annotation) for annotation in annotations(tree)):
        assert "annotations" in imported, "X | None in an annotation needs from __future__ import annotations"
