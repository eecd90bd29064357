"""Pack the Python packages of the Spark job for the EMR nodes: a zip with the same bytes for the same lock.

pip downloads the wheels of ``requirements/spark.lock`` for the Python version and processor of the nodes, and
they are unpacked into one zip. Of botocore's API descriptions, three quarters of all files, it has those of
the job's services: each step unpacks them before it starts. An existing archive of the same lock and services
is kept.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from components.packing import write_file, zip_bytes

ROOT = Path(__file__).resolve().parent.parent
# EMR 7: CPython 3.9 on Amazon Linux 2023. The stage config refuses Graviton, which needs other wheels.
NODES = ("--platform", "manylinux2014_x86_64", "--implementation", "cp", "--python-version", "3.9")
LOCK_NAME = "spark.lock"  # also the copy inside the archive, which identifies the lock of the archive
# Services that the job calls: the feature store's secret; STS for credentials of a role.
SERVICES = ("secretsmanager", "sts")
SERVICES_NAME = "services.txt"  # the list inside the archive
SERVICE_DATA = ("botocore", "data")
PIP_TIMEOUT_S = 600
LAST_LINES = 5


class PackagesError(Exception):
    """The archive cannot be built; the message gives the reason in one line."""


def fetch_wheels(lock: Path, folder: Path) -> list[Path]:
    """Download the wheels of the lock into a folder and verify their hashes.

    Raises:
        PackagesError: a wheel could not be downloaded, or its hash is not in the lock.
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


def unpack(wheels: list[Path]) -> dict[str, bytes]:
    """The contents of the wheels' files, by path in ``site-packages``.

    Raises:
        PackagesError: a wheel has files outside of ``site-packages``, or two wheels have the same file.
    """
    files: dict[str, bytes] = {}
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                top, _, inside = name.partition("/")
                if name.endswith("/") or (top.endswith(".data") and inside.startswith("scripts/")):
                    continue  # command line scripts are not imported
                if is_other_service(name):
                    continue
                if top.endswith(".data"):
                    raise PackagesError(f"{wheel.name}: {name} belongs outside of site-packages")
                if name in files:
                    raise PackagesError(f"{wheel.name}: {name} is also in another wheel")
                files[name] = archive.read(name)
    return files


def is_other_service(name: str) -> bool:
    """Whether a file describes a service that the job does not call: botocore/data/SERVICE/VERSION/FILE."""
    *folders, _ = name.split("/")
    return tuple(folders[:2]) == SERVICE_DATA and len(folders) > 2 and folders[2] not in SERVICES


def labels(lock: Path) -> dict[str, bytes]:
    """The files inside an archive that identify it: its lock and its services."""
    return {LOCK_NAME: lock.read_bytes(), SERVICES_NAME: "\n".join(SERVICES).encode()}


def is_archive_of(lock: Path, archive: Path) -> bool:
    """Whether the archive was built from this lock, for these services."""
    try:
        with zipfile.ZipFile(archive) as packed:
            return all(packed.read(name) == content for name, content in labels(lock).items())
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
        if is_archive_of(args.lock, args.output):
            return 0
        with tempfile.TemporaryDirectory() as folder:
            files = unpack(fetch_wheels(args.lock, Path(folder)))
        content = zip_bytes({**files, **labels(args.lock)})
        write_file(args.output, content)
    except (OSError, PackagesError, subprocess.TimeoutExpired) as error:
        print(f"spark_packages: {error}", file=sys.stderr)
        return 2
    print(f"{hashlib.sha256(content).hexdigest()}  {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
