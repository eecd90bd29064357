"""A prepared run: the document that launches it, where it lies in S3, and what makes it whole.

Standard library only. The names are those of ``ml/contract.py``: the folder of DAGs ships alone, so it can
import nothing of the repository, and ``tests/dags/test_run.py`` holds both equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

RUN_ID_FORMAT = "%Y%m%dT%H%M%SZ"
RUN_ID_PLACEHOLDER = "__RUN_ID__"
OUTPUT_ARGUMENT = "--output"  # of the Spark job: where prepared runs go
MANIFEST_FILE = "manifest.json"
SUCCESS_FILE = "_SUCCESS"
SCHEMA_VERSION = 1
SPLITS = ("train", "validation", "test")


class LaunchDocumentError(ValueError):
    """The published RunJobFlow document is not one that launches a run."""


class PreparedRunError(ValueError):
    """A prepared run that is not whole; the message names the file or the field."""


@dataclass(frozen=True)
class Location:
    """Where a prepared run lies."""

    bucket: str
    prefix: str  # ends in a slash

    def key(self, name: str) -> str:
        """The object key of one of the run's files."""
        return self.prefix + name

    def uri(self, name: str = "") -> str:
        """The S3 URI of the run or of one of its files."""
        return f"s3://{self.bucket}/{self.prefix}{name}"


def run_id_of(moment: datetime) -> str:
    """The run id of an aware moment, such as the end of a data interval."""
    return moment.astimezone(UTC).strftime(RUN_ID_FORMAT)


def launch_document(published: str, run_id: str) -> dict[str, Any]:
    """The parameters of RunJobFlow for one run, from the document that the stage published.

    Raises:
        LaunchDocumentError: it is no JSON object, or nothing in it takes a run id.
    """
    if RUN_ID_PLACEHOLDER not in published:
        raise LaunchDocumentError(f"no {RUN_ID_PLACEHOLDER} in it: every run would be the same")
    try:
        document = json.loads(published.replace(RUN_ID_PLACEHOLDER, run_id))
    except json.JSONDecodeError as error:
        raise LaunchDocumentError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise LaunchDocumentError("not a JSON object")
    return document


def step_arguments(document: Mapping[str, Any]) -> list[list[str]]:
    """The arguments of each of a launch document's steps."""
    return [step.get("HadoopJarStep", {}).get("Args", []) for step in document.get("Steps", [])]


def location_of(document: Mapping[str, Any], run_id: str) -> Location:
    """Where the job that a document launches puts its run.

    Raises:
        LaunchDocumentError: no step says where its output goes.
    """
    for arguments in step_arguments(document):
        if OUTPUT_ARGUMENT in arguments[:-1]:
            uri = urlsplit(arguments[arguments.index(OUTPUT_ARGUMENT) + 1])
            root = uri.path.strip("/")
            return Location(uri.netloc, f"{root}/run={run_id}/" if root else f"run={run_id}/")
    raise LaunchDocumentError(f"no step has {OUTPUT_ARGUMENT}: nobody knows where the run goes")


def checked_counts(manifest: Any, sizes: Mapping[str, int]) -> dict[str, Any]:
    """The counts of a run whose manifest agrees with itself and with what lies in the bucket.

    Bytes only: whoever trains on a file checks its sha256.

    Args:
        manifest: the parsed ``manifest.json``.
        sizes: the size in bytes of every object of the run, by its name relative to the run.

    Raises:
        PreparedRunError: naming the field or the file that is wrong.
    """
    try:
        if manifest["schema_version"] != SCHEMA_VERSION:
            raise PreparedRunError(
                f"schema_version is {manifest['schema_version']}; this DAG reads {SCHEMA_VERSION}"
            )
        counts, files = manifest["counts"], manifest["files"]
        _check_sums(counts)
        for split in SPLITS:
            rows = sum(entry["rows"] for name, entry in files.items() if name.startswith(f"{split}/"))
            if rows != counts[split]:
                raise PreparedRunError(
                    f"{split} has {rows} rows in files, but counts.{split} = {counts[split]}"
                )
        for name, entry in files.items():
            if name not in sizes:
                raise PreparedRunError(f"{name}: in the manifest, but not in the bucket")
            if sizes[name] != entry["bytes"]:
                raise PreparedRunError(f"{name}: {sizes[name]} bytes, but the manifest says {entry['bytes']}")
    except KeyError as error:
        raise PreparedRunError(f"{error.args[0]}: missing") from None
    except (AttributeError, TypeError) as error:
        raise PreparedRunError(f"a field has another type: {error}") from None
    return dict(counts)


def _check_sums(counts: Mapping[str, Any]) -> None:
    """Every event that was read is kept, quarantined, a duplicate or filtered; nobody is kept unread."""
    accounted = (
        counts["kept"] + sum(counts["quarantined"].values()) + counts["duplicates"] + counts["filtered"]
    )
    if accounted != counts["events_read"]:
        raise PreparedRunError(
            f"counts: kept + quarantined + duplicates + filtered = {accounted}, "
            f"but events_read = {counts['events_read']}"
        )
    in_splits = sum(counts[split] for split in SPLITS)
    if in_splits != counts["kept"]:
        raise PreparedRunError(f"counts: {' + '.join(SPLITS)} = {in_splits}, but kept = {counts['kept']}")
    for name in ("users", "items"):
        read = counts.get(f"{name}_read", 0)  # 0: a run from before it was counted
        if read and counts[name] > read:
            raise PreparedRunError(f"counts: {name} = {counts[name]}, but {name}_read = {read}")
