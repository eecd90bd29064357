"""Packages that the training image lacks: wheels of the code bundle, unpacked at the start of a job."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "packages"  # `ci.bundle --wheels` fills it


def add_to_path(wheels: Path = FOLDER) -> None:
    """Unpack the wheels of a folder into a temporary folder, and import packages from there first.

    Without wheels, as on a developer's machine, nothing changes.

    Raises:
        OSError: there is no space left.
        zipfile.BadZipFile: a wheel is damaged.
    """
    found = sorted(wheels.glob("*.whl"))
    if not found:
        return
    target = tempfile.mkdtemp(prefix="packages-")
    for wheel in found:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
    sys.path.insert(0, target)
