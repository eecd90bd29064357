"""Archive the JVM classes of Spark for this environment, so that a session starts from them.

A small preparation loads 20,000 classes from 250 jars, a quarter of its processor time. The JVM writes those
that one such run has loaded, parsed and verified, to a file which later JVMs map into memory (application
class-data sharing). An archive is valid for one JVM and for unchanged jars only; a JVM that finds another
archive than its own ignores it, and loads the classes from the jars.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ml.preparation.spark.session import CLASS_ARCHIVE, QUIET_ARCHIVE
from ml.synthetic import generate, write_csv

TIMEOUT_S = 600
LAST_LINES = 5
RUN_ID = "20270101T000000Z"  # after the synthetic events
SHOP = {"n_users": 60, "n_items": 40, "n_interactions": 1000, "seed": 1}


class ArchiveError(Exception):
    """The archive cannot be written; the message gives the reason in one line."""


def write_archive(path: Path) -> None:
    """Run a small preparation and archive its classes.

    Raises:
        ArchiveError: the run failed, or the JVM wrote no archive.
    """
    # A JVM that maps a truncated archive crashes: it has a temporary name until it is complete.
    unfinished = path.with_suffix(f".{os.getpid()}")
    with tempfile.TemporaryDirectory(prefix="ncf-spark-classes-") as folder:
        shop = Path(folder, "shop.csv")
        write_csv(generate(**SHOP), shop)
        with shop.open("a", encoding="utf-8") as rows:
            rows.write("u1,,0\n")  # a row for the quarantine
        output = ("--output", folder, "--run-id", RUN_ID, "--max-quarantined-share", "1")
        # Captured output: run() then waits for the JVM too, which writes the archive after Python's end.
        done = subprocess.run(
            [sys.executable, "-m", "ml.preparation", "--input", str(shop), *output],
            env={**os.environ, "SPARK_SUBMIT_OPTS": f"-XX:ArchiveClassesAtExit={unfinished} {QUIET_ARCHIVE}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    if done.returncode != 0 or not unfinished.is_file():
        raise ArchiveError(" / ".join([*done.stdout.splitlines(), *done.stderr.splitlines()][-LAST_LINES:]))
    unfinished.replace(path)


def main(archive: Path = CLASS_ARCHIVE) -> int:
    """Write the archive of this environment, unless there is one; returns the exit status, always 0.

    Spark also starts without an archive: it only takes longer.
    """
    if archive.is_file():
        return 0
    print("setup: archiving the classes of Spark (takes half a minute)", flush=True)
    try:
        write_archive(archive)
    except (ArchiveError, OSError, subprocess.SubprocessError) as error:
        print(f"spark_classes: no archive, Spark starts without it: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
