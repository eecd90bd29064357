"""Wheels of the code bundle: a job imports their packages."""

from __future__ import annotations

import importlib
import sys
import zipfile
from pathlib import Path

import pytest

from ml.ncf.jobs import packages


def test_packages_of_the_wheels_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    with zipfile.ZipFile(tmp_path / "shipped-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("package_of_a_wheel/__init__.py", "VALUE = 7")
    packages.add_to_path(tmp_path)
    assert importlib.import_module("package_of_a_wheel").VALUE == 7


def test_path_does_not_change_without_wheels(tmp_path: Path) -> None:
    before = list(sys.path)
    packages.add_to_path(tmp_path / "absent")
    assert sys.path == before
