"""Link packages of one environment into another, so that they are neither downloaded nor unpacked again.

    python -m ci.link_packages LOCK TARGET PACKAGE...

Run by the Python of the source environment; TARGET is the site-packages folder of the other one. Linked are
the packages that the source has in the version that LOCK pins, and PACKAGE with its installed dependencies,
unless LOCK pins another version of them. Prints the lines of LOCK that remain to be installed.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Packages = Mapping[str, Distribution]


def pinned(lock: Path) -> dict[str, str]:
    """Version by package name of a lock file."""
    lines = (line.partition("#")[0].strip() for line in lock.read_text(encoding="utf-8").splitlines())
    pins = (line.partition("==") for line in lines if line)
    return {canonicalize_name(name): version for name, _, version in pins}


def with_dependencies(name: str, packages: Packages, seen: set[str]) -> Iterator[str]:
    """A package and all packages that it depends on, once each."""
    if name in seen:
        return
    seen.add(name)
    yield name
    for line in packages[name].requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from with_dependencies(canonicalize_name(requirement.name), packages, seen)


def link(package: Distribution, source: Path, target: Path) -> None:
    """Link the files and folders of a package at the top of its site-packages folder."""
    names = {path.parts[0] for path in package.files or () if path.parts[0] not in ("..", "__pycache__")}
    for name in sorted(names):
        if not (target / name).exists():
            (target / name).symlink_to(source / name)


def link_all(
    pins: Mapping[str, str], packages: Packages, source: Path, target: Path, roots: Sequence[str]
) -> list[str]:
    """Link packages from `source` to `target`; returns the pins that remain to be installed.

    Args:
        pins: version by name in the target.
        packages: packages of the source by name.
        roots: packages to link with their dependencies.
    """
    seen: set[str] = set()
    wanted = {name for root in roots for name in with_dependencies(root, packages, seen)} - set(pins)
    same = {name for name, version in pins.items() if name in packages and packages[name].version == version}
    for name in sorted(wanted | same):
        link(packages[name], source, target)
    return [f"{name}=={pins[name]}" for name in sorted(set(pins) - same)]


def main(lock: Path, target: Path, roots: list[str]) -> int:
    """Link the packages of this environment, and print what remains to be installed."""
    packages: dict[str, Distribution] = {canonicalize_name(each.name): each for each in distributions()}
    print(*link_all(pinned(lock), packages, Path(sysconfig.get_path("purelib")), target, roots), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
