"""Recorded preparation: writes the files of a run to S3, `_SUCCESS` last, from the caller or from a process.

    python bench/chain/preparation.py FOLDER BUCKET PREFIX SECONDS

As a process it writes the files of a folder over so many seconds, and can be killed at any moment.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3

SUCCESS_FILE = "_SUCCESS"


def write(s3: Any, bucket: str, prefix: str, files: Mapping[str, bytes], seconds: float = 0.0) -> None:
    """Write the files below a prefix, the last one at the end of the time."""
    names = sorted(files, key=lambda name: (name == SUCCESS_FILE, name))
    start = time.monotonic()
    for number, name in enumerate(names, 1):
        time.sleep(max(0.0, start + seconds * number / len(names) - time.monotonic()))
        s3.put_object(Bucket=bucket, Key=prefix + name, Body=files[name])


def main() -> None:
    """Write the files of a folder."""
    folder, bucket, prefix, seconds = Path(sys.argv[1]), *sys.argv[2:]
    paths = (path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    write(s3, bucket, prefix, files, float(seconds))


if __name__ == "__main__":
    main()
