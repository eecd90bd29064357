"""Pack what the Spark job imports, for the nodes of EMR: same lock, same bytes.

``requirements/spark.lock`` says exactly which wheels; pip fetches them for the nodes' Python and processor,
whatever this machine has, and they are unpacked into one zip. An archive of the same lock is left as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# EMR 7: CPython 3.9 on Amazon Linux 2023. Graviton would take another archive: the stages refuse it.
NODES = ("--platform", "manylinux2014_x86_64", "--implementation", "cp", "--python-version", "3.9")
LOCK_NAME = "spark.lock"  # the lock inside the archive: what the archive is of
EARLIEST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the ZIP format knows no earlier one
REGULAR_FILE_RW_R_R = 0o100644
PIP_TIMEOUT_S = 600
LAST_LINES = 5


class PackagesError(Exception):
    """The archive can't be made; the message says why, in one line."""


def fetch_wheels(lock: Path, folder: Path) -> list[Path]:
    """The wheels of the lock, checked against its hashes.

    Raises:
        PackagesError: pip could not fetch one, or it is another than the lock's.
    """
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet"]
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", *NODES]
    done = subprocess.run(
        [*command, *options, "--dest", str(folder), "--requirement", str(lock)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PIP_TIMEOUT_S,
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip() and "WARNING" not in line]
        raise PackagesError(f"{lock.name}: " + " / ".join(lines[-LAST_LINES:]))
    return sorted(folder.glob("*.whl"))


def unpacked(wheels: list[Path]) -> dict[str, bytes]:
    """The files of the wheels, by name, as they lie in one folder of packages.

    Raises:
        PackagesError: a wheel has files for other places, or two wheels have the same file.
    """
    files: dict[str, bytes] = {}
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                top, _, inside = name.partition("/")
                if name.endswith("/") or (top.endswith(".data") and inside.startswith("scripts/")):
                    continue  # a command is nothing to import
                if top.endswith(".data"):
                    raise PackagesError(f"{wheel.name}: {name} belongs outside of the folder of packages")
                if name in files:
                    raise PackagesError(f"{wheel.name}: {name} is in another package, too")
                files[name] = archive.read(name)
    return files


def write_archive(files: Mapping[str, bytes], archive: Path) -> str:
    """Write the files as one zip; returns its SHA-256 in hex."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w") as packed:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EARLIEST_ZIP_TIME)
            entry.external_attr = REGULAR_FILE_RW_R_R << 16
            entry.compress_type = zipfile.ZIP_STORED  # what deflate writes depends on the zlib at hand
            entry.create_system = 3  # Unix, whatever the machine: part of the bytes
            packed.writestr(entry, files[name])
    partial.replace(archive)
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def is_of(lock: Path, archive: Path) -> bool:
    """Whether the archive was made from this very lock."""
    try:
        with zipfile.ZipFile(archive) as packed:
            return packed.read(LOCK_NAME) == lock.read_bytes()
    except (FileNotFoundError, KeyError, zipfile.BadZipFile):
        return False


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ci.spark_packages", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--lock", type=Path, default=ROOT / "requirements" / LOCK_NAME)
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "spark-packages.zip")
    args = parser.parse_args()
    try:
        if is_of(args.lock, args.output):
            return 0
        with tempfile.TemporaryDirectory() as folder:
            files = unpacked(fetch_wheels(args.lock, Path(folder)))
        digest = write_archive({**files, LOCK_NAME: args.lock.read_bytes()}, args.output)
    except (OSError, PackagesError, subprocess.TimeoutExpired) as error:
        print(f"spark_packages: {error}", file=sys.stderr)
        return 2
    print(f"{digest}  {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
