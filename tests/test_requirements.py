"""What is pinned beside the lock is pinned as the lock has it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)")


def pins(path: Path) -> dict[str, str]:
    """Version by name; every line is a pin, a comment or a constraint file."""
    found = {}
    for line in path.read_text().splitlines():
        if not line or line.startswith(("#", "-c ")):
            continue
        pin = PIN.fullmatch(line)
        assert pin, f"{path.name}: {line!r} is no exact version"
        found[pin["name"]] = pin["version"]
    return found


@pytest.mark.parametrize("path", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda path: path.name)
def test_every_pin_is_the_lock_s(path: Path) -> None:
    assert pins(path).items() <= pins(REQUIREMENTS / "lock.txt").items()


def test_a_build_installs_nothing_that_the_lock_does_not_hold() -> None:
    assert "-c lock.txt" in (REQUIREMENTS / "pipeline.txt").read_text().splitlines()
