"""Link packages of one environment into another, so that they are neither downloaded nor unpacked again.

    python -m ci.link_packages LOCK TARGET PACKAGE...

Run by the Python of the source environment; TARGET is the site-packages folder of the other one. Linked are
the packages that the source has in the version that LOCK pins, and PACKAGE with its installed dependencies,
unless LOCK pins another version of them. Prints the lines of LOCK that remain to be installed.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CACHES = ("__pycache__",)


def pinned(lock: Path) -> dict[str, str]:
    """Version by package name of a lock file."""
    lines = (line.split("#")[0].strip() for line in lock.read_text(encoding="utf-8").splitlines())
    return {
        canonicalize_name(name): version
        for name, _, version in (line.partition("==") for line in lines if line)
    }


def installed() -> dict[str, Distribution]:
    """The packages of this environment, by name."""
    return {canonicalize_name(each.name): each for each in distributions()}


def with_dependencies(name: str, seen: set[str]) -> Iterator[str]:
    """A package and everything installed that it depends on, once each."""
    if name in seen:
        return
    seen.add(name)
    yield name
    for line in distribution(name).requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from with_dependencies(canonicalize_name(requirement.name), seen)


def link(package: Distribution, source: Path, target: Path) -> None:
    """Link the files and folders of a package at the top of its site-packages folder."""
    names = {path.parts[0] for path in package.files or () if path.parts[0] not in ("..", *CACHES)}
    for name in sorted(names):
        if not (target / name).exists():
            (target / name).symlink_to(source / name)


def main(lock: Path, target: Path, packages: list[str]) -> int:
    """Link the packages, and print what remains to be installed."""
    source, pins, here = Path(sysconfig.get_path("purelib")), pinned(lock), installed()
    seen: set[str] = set()
    wanted = {name for package in packages for name in with_dependencies(package, seen)} - set(pins)
    same = {name for name, version in pins.items() if name in here and here[name].version == version}
    for name in sorted(wanted | same):
        link(here[name], source, target)
    for name in sorted(set(pins) - same):
        print(f"{name}=={pins[name]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
