"""Parsing of the event, validation of the manifest and rendering of the buildspec, without AWS calls."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from string import Template
from typing import Any

SCHEMA_VERSION = 1
SUCCESS_FILE = "_SUCCESS"
MANIFEST_FILE = "manifest.json"
SPLITS = ("train", "validation", "test")

RUN_ID = re.compile(r"\d{8}T\d{6}Z")
# S3 version ids, without characters that are special in YAML or in a shell.
OBJECT_VERSION = re.compile(r"[A-Za-z0-9._-]{1,1024}")
# Status of a pipeline execution after which its run may be started again.
REPEATABLE = ("CompletedWithFailures", "Failed", "Stopped", "Stopping")
UNVERSIONED = "null"  # S3 version id of an object that was written without versioning


class EventError(ValueError):
    """The event, the manifest or the code version is invalid; the message names the field."""


@dataclass(frozen=True)
class PreparedRun:
    """Prepared run, from an S3 event."""

    run_id: str
    bucket: str
    prefix: str  # with a trailing slash
    completed_at: datetime  # when its _SUCCESS object was written

    @property
    def manifest_key(self) -> str:
        """Object key of the manifest."""
        return f"{self.prefix}{MANIFEST_FILE}"


def prepared_run(event: Mapping[str, Any], prepared_prefix: str) -> PreparedRun:
    """The run of an S3 "Object Created" event for ``_SUCCESS``.

    Raises:
        EventError: it is not an S3 event, or its key is not
            ``<prepared_prefix>run=<run_id>/_SUCCESS``.
    """
    try:
        bucket, key = event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]
        completed_at = datetime.fromisoformat(event["time"])
    except (KeyError, TypeError, ValueError):
        raise EventError(
            "event: expected an S3 event with time, detail.bucket.name and detail.object.key"
        ) from None
    found = re.fullmatch(
        rf"(?P<prefix>{re.escape(prepared_prefix)}run=(?P<run_id>{RUN_ID.pattern})/){SUCCESS_FILE}", key
    )
    if not found:
        raise EventError(f"event: key {key!r} is not {prepared_prefix}run=<run_id>/{SUCCESS_FILE}")
    return PreparedRun(
        run_id=found["run_id"], bucket=bucket, prefix=found["prefix"], completed_at=completed_at
    )


def execution_name(run_id: str) -> str:
    """Display name of a run's pipeline executions."""
    return f"run-{run_id}"


def is_repeatable(status: str) -> bool:
    """Whether a run may be started again after an execution with this status."""
    return status in REPEATABLE


def check_manifest(content: bytes, uri: str) -> str:
    """Validate the structure and the counts of a manifest; returns its run id.

    Raises:
        EventError: the manifest is invalid; the message begins with its ``uri``.
    """
    try:
        manifest = json.loads(content)
        version, run_id, counts = manifest["schema_version"], manifest["run_id"], manifest["counts"]
        rows = {name: _count(counts, name) for name in SPLITS}
        kept = _count(counts, "kept")
        dropped = sum(_count(counts["quarantined"], reason) for reason in counts["quarantined"])
        dropped += _count(counts, "duplicates") + _count(counts, "filtered")
        events_read = _count(counts, "events_read")
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise EventError(f"{uri}: not JSON ({error})") from None
    except KeyError as error:
        raise EventError(f"{uri}: {error.args[0]} is missing") from None
    except TypeError:
        raise EventError(f"{uri}: not an object with the structure of a manifest") from None
    except _CountError as error:
        raise EventError(f"{uri}: {error}") from None
    if version != SCHEMA_VERSION:
        raise EventError(f"{uri}: schema_version is {version!r}, not {SCHEMA_VERSION}")
    if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
        raise EventError(f"{uri}: run_id {run_id!r} is not a UTC time such as 20261123T020000Z")
    if sum(rows.values()) != kept:
        raise EventError(f"{uri}: counts.kept is {kept}, but the splits have {sum(rows.values())} rows")
    if kept + dropped != events_read:
        raise EventError(
            f"{uri}: counts.events_read is {events_read}, "
            f"but kept, quarantined, duplicates and filtered add up to {kept + dropped}"
        )
    for split, n_rows in rows.items():
        if n_rows == 0:
            raise EventError(f"{uri}: counts.{split} is 0: every split needs at least one row")
    return run_id


def render(template: str, run_id: str, code_version: str | None) -> str:
    """The buildspec of a run.

    Raises:
        EventError: the code bundle has no object version, or an unexpected one.
    """
    if code_version is None or code_version == UNVERSIONED:
        raise EventError("code bundle: no object version to pin; enable versioning on its bucket")
    if not OBJECT_VERSION.fullmatch(code_version):
        raise EventError(f"code bundle: {code_version!r} is not a version id")
    return Template(template).substitute(run_id=run_id, code_version=code_version)


class _CountError(ValueError):
    pass


def _count(counts: Mapping[str, Any], name: str) -> int:
    value = counts[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _CountError(f"counts.{name} is {value!r}, not a count")
    return value
