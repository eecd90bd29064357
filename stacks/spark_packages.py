"""Archive of the Spark job's third-party packages, built by ``ci.spark_packages`` before the program runs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pulumi

BUILD_COMMAND = "run `python -m ci.spark_packages`"


class SparkPackagesError(pulumi.RunError):
    """The archive is missing, unreadable or built from another lock; the message names the command to run."""


def spark_packages(archive: Path, lock: Path) -> pulumi.FileAsset:
    """Asset of the archive, after checking that it was built from the lock.

    Raises:
        SparkPackagesError: the archive is missing, unreadable or built from another lock.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            packed_lock = packed.read(lock.name)
    except FileNotFoundError:
        raise SparkPackagesError(f"{archive} is missing: {BUILD_COMMAND}") from None
    except (KeyError, zipfile.BadZipFile):
        raise SparkPackagesError(f"{archive} is not an archive of packages: {BUILD_COMMAND}") from None
    if packed_lock != lock.read_bytes():
        raise SparkPackagesError(f"{archive} was built from another {lock.name}: {BUILD_COMMAND}")
    return pulumi.FileAsset(str(archive))
