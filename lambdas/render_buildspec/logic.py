"""From the event of a whole run to its buildspec, without AWS."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Any

SCHEMA_VERSION = 1
SUCCESS_FILE = "_SUCCESS"
MANIFEST_FILE = "manifest.json"
SPLITS = ("train", "validation", "test")

RUN_ID = re.compile(r"\d{8}T\d{6}Z")
# What S3 gives as a version id, and nothing that YAML or a shell would read as more than text.
OBJECT_VERSION = re.compile(r"[A-Za-z0-9._-]{1,1024}")
UNVERSIONED = "null"  # S3's version id of an object that was written without versioning


class InputError(ValueError):
    """The event, the manifest or the code version is not what it must be; the message names it."""


@dataclass(frozen=True)
class PreparedRun:
    """A prepared run as an event announces it."""

    run_id: str
    bucket: str
    prefix: str  # with a trailing slash

    @property
    def manifest_key(self) -> str:
        """Where the run's manifest lies in its bucket."""
        return f"{self.prefix}{MANIFEST_FILE}"


def prepared_run(event: Mapping[str, Any], prepared_prefix: str) -> PreparedRun:
    """The run whose ``_SUCCESS`` an S3 "Object Created" event is about.

    Raises:
        InputError: the event is of another kind, or its key is not
            ``<prepared_prefix>run=<run_id>/_SUCCESS``.
    """
    try:
        bucket, key = event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]
    except (KeyError, TypeError):
        raise InputError("event: no detail.bucket.name and detail.object.key, as S3 events have") from None
    found = re.fullmatch(
        rf"(?P<prefix>{re.escape(prepared_prefix)}run=(?P<run_id>{RUN_ID.pattern})/){SUCCESS_FILE}", key
    )
    if not found:
        raise InputError(f"event: key {key!r} is not {prepared_prefix}run=<run_id>/{SUCCESS_FILE}")
    return PreparedRun(run_id=found["run_id"], bucket=bucket, prefix=found["prefix"])


def check_manifest(content: bytes, uri: str) -> str:
    """The run id that a manifest states, once its shape and counts are found right.

    Raises:
        InputError: the manifest cannot be trusted; the message begins with its ``uri``.
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
        raise InputError(f"{uri}: not JSON ({error})") from None
    except KeyError as error:
        raise InputError(f"{uri}: {error.args[0]} is missing") from None
    except TypeError:
        raise InputError(f"{uri}: not an object of the manifest's shape") from None
    except _CountError as error:
        raise InputError(f"{uri}: {error}") from None
    if version != SCHEMA_VERSION:
        raise InputError(f"{uri}: schema_version is {version!r}, not {SCHEMA_VERSION}")
    if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
        raise InputError(f"{uri}: run_id {run_id!r} is not a UTC time such as 20261123T020000Z")
    if sum(rows.values()) != kept:
        raise InputError(f"{uri}: counts.kept is {kept}, but the splits have {sum(rows.values())} rows")
    if kept + dropped != events_read:
        raise InputError(
            f"{uri}: counts.events_read is {events_read}, but {kept + dropped} are accounted for"
        )
    for split, n_rows in rows.items():
        if n_rows == 0:
            raise InputError(f"{uri}: counts.{split} is 0: there is nothing to train or judge with")
    return run_id


def render(template: str, run_id: str, code_version: str | None) -> str:
    """A run's buildspec.

    Raises:
        InputError: the code bundle has no version to pin, or one that is not plain text.
    """
    if code_version is None or code_version == UNVERSIONED:
        raise InputError("code bundle: its bucket keeps no versions, so that there is none to pin")
    if not OBJECT_VERSION.fullmatch(code_version):
        raise InputError(f"code bundle: {code_version!r} is not a version id")
    return Template(template).substitute(run_id=run_id, code_version=code_version)


class _CountError(ValueError):
    pass


def _count(counts: Mapping[str, Any], name: str) -> int:
    value = counts[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _CountError(f"counts.{name} is {value!r}, not a count")
    return value
