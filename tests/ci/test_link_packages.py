"""`ci.link_packages` on small environments."""

from __future__ import annotations

from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from ci import link_packages


def install(site: Path, name: str, version: str, *requires: str) -> None:
    """Put a package with one module into a site-packages folder."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {each}" for each in requires)]
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]))
    (info / "RECORD").write_text(f"{name}/__init__.py,,\n{info.name}/METADATA,,\n../../../bin/{name},,\n")
    (site / name).mkdir()
    (site / name / "__init__.py").write_text(f"VERSION = {version!r}\n")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Site-packages folder with torch 2.13.0, its dependencies, and two packages that it does not need."""
    site = tmp_path / "source"
    install(site, "torch", "2.13.0", "sympy>=1", "optree; extra == 'optree'")
    install(site, "sympy", "1.14.0", "mpmath")
    for name, version in (("mpmath", "1.3.0"), ("optree", "0.1"), ("numpy", "2.4.6"), ("pydantic", "2.14.0")):
        install(site, name, version)
    return site


def linked(source: Path, target: Path, lock: Path) -> list[str]:
    target.mkdir(exist_ok=True)
    packages = {each.name: each for each in map(PathDistribution, source.glob("*.dist-info"))}
    return link_packages.link_all(link_packages.pinned(lock), packages, source, target, ["torch"])


def test_same_versions_and_torch_with_its_dependencies_are_linked(source: Path, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("numpy==2.4.6\ntorchserve==0.12.0  # a comment\n")

    rest = linked(source, tmp_path / "target", lock)

    assert rest == ["torchserve==0.12.0"]
    names = {path.name for path in (tmp_path / "target").iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"torch", "sympy", "mpmath", "numpy"}
    assert (tmp_path / "target/torch/__init__.py").read_text() == "VERSION = '2.13.0'\n"


def test_package_that_the_lock_pins_in_another_version_is_installed(source: Path, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("numpy==1.26.4\nmpmath==1.4.0\n")

    assert linked(source, tmp_path / "target", lock) == ["mpmath==1.4.0", "numpy==1.26.4"]
    assert not (tmp_path / "target/numpy").exists()
    assert not (tmp_path / "target/mpmath").exists()
