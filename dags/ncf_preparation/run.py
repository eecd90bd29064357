"""Prepared runs: launch document, location in S3, and validation of the manifest.

Standard library only. The DAGs folder is deployed alone, so the constants of ``ml/contract.py`` are
repeated here; ``tests/dags/test_run.py`` compares them.
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
OUTPUT_ARGUMENT = "--output"  # argument of the Spark job: parent of the prepared runs
MANIFEST_FILE = "manifest.json"
SUCCESS_FILE = "_SUCCESS"
SCHEMA_VERSION = 1
SPLITS = ("train", "validation", "test")


class LaunchDocumentError(ValueError):
    """The published RunJobFlow document cannot launch a run."""


class PreparedRunError(ValueError):
    """The prepared run is incomplete or inconsistent; the message names the file or the field."""


@dataclass(frozen=True)
class Location:
    """Location of a prepared run in S3."""

    bucket: str
    prefix: str  # ends in a slash

    def key(self, name: str) -> str:
        """Object key of a file of the run."""
        return self.prefix + name

    def uri(self, name: str = "") -> str:
        """S3 URI of the run, or of one of its files."""
        return f"s3://{self.bucket}/{self.prefix}{name}"


def run_id_of(moment: datetime) -> str:
    """Run id of a timezone-aware time, such as the end of a data interval."""
    return moment.astimezone(UTC).strftime(RUN_ID_FORMAT)


def launch_document(published: str, run_id: str) -> dict[str, Any]:
    """Parameters of RunJobFlow for one run, from the document that the stage published.

    Raises:
        LaunchDocumentError: it is not a JSON object, or has no placeholder for the run id.
    """
    if RUN_ID_PLACEHOLDER not in published:
        raise LaunchDocumentError(f"no placeholder {RUN_ID_PLACEHOLDER} for the run id")
    try:
        document = json.loads(published.replace(RUN_ID_PLACEHOLDER, run_id))
    except json.JSONDecodeError as error:
        raise LaunchDocumentError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise LaunchDocumentError("not a JSON object")
    return document


def step_arguments(document: Mapping[str, Any]) -> list[list[str]]:
    """Arguments of each step of a launch document."""
    return [step.get("HadoopJarStep", {}).get("Args", []) for step in document.get("Steps", [])]


def location_of(document: Mapping[str, Any], run_id: str) -> Location:
    """Location to which the job of a launch document writes its run.

    Raises:
        LaunchDocumentError: no step has an output argument.
    """
    for arguments in step_arguments(document):
        if OUTPUT_ARGUMENT in arguments[:-1]:
            uri = urlsplit(arguments[arguments.index(OUTPUT_ARGUMENT) + 1])
            root = uri.path.strip("/")
            return Location(uri.netloc, f"{root}/run={run_id}/" if root else f"run={run_id}/")
    raise LaunchDocumentError(f"no step has {OUTPUT_ARGUMENT}, so the location of the run is unknown")


def checked_counts(manifest: Any, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Validate a manifest against itself and the objects in the bucket; returns the counts of the run.

    File sizes only: the training job verifies the SHA-256 of each file.

    Args:
        manifest: the parsed ``manifest.json``.
        sizes: size in bytes per object of the run, by name relative to the run.

    Raises:
        PreparedRunError: the message names the invalid field or file.
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
    """Check that every event is counted once, and that no more users or items are kept than were read."""
    total = counts["kept"] + sum(counts["quarantined"].values()) + counts["duplicates"] + counts["filtered"]
    if total != counts["events_read"]:
        raise PreparedRunError(
            f"counts: kept + quarantined + duplicates + filtered = {total}, "
            f"but events_read = {counts['events_read']}"
        )
    in_splits = sum(counts[split] for split in SPLITS)
    if in_splits != counts["kept"]:
        raise PreparedRunError(f"counts: {' + '.join(SPLITS)} = {in_splits}, but kept = {counts['kept']}")
    for name in ("users", "items"):
        read = counts.get(f"{name}_read", 0)  # older runs have no such count
        if read and counts[name] > read:
            raise PreparedRunError(f"counts: {name} = {counts[name]}, but {name}_read = {read}")
