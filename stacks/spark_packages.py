"""The Spark job's third-party packages, as ``ci.spark_packages`` made them: the program needs no network."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pulumi

MAKE = "run `python -m ci.spark_packages`"


class SparkPackagesError(pulumi.RunError):
    """There is no archive of the packages, or it is of another lock. One line says what to run."""


def spark_packages(archive: Path, lock: Path) -> pulumi.FileAsset:
    """The archive, once it is known to be of the lock.

    Raises:
        SparkPackagesError: it is not there, or not of this lock.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            packed_lock = packed.read(lock.name)
    except FileNotFoundError:
        raise SparkPackagesError(f"{archive} is missing: {MAKE}") from None
    except (KeyError, zipfile.BadZipFile):
        raise SparkPackagesError(f"{archive} is not what it should be: {MAKE}") from None
    if packed_lock != lock.read_bytes():
        raise SparkPackagesError(f"{archive} is of another {lock.name}: {MAKE}")
    return pulumi.FileAsset(str(archive))
