"""The constants and manifest checks of the DAG equal those of `ml`, which the DAG cannot import."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ncf_preparation import run
from ncf_preparation.emr import JOB_PREFIX

from ml import contract, manifest

DOCUMENT = {
    "Name": "ncf-prod-preparation",
    "Steps": [
        {
            "Name": "prepare",
            "HadoopJarStep": {
                "Args": ["spark-submit", "--output", "s3://data/prepared/", "--run-id", "__RUN_ID__"]
            },
        }
    ],
}
RUN_ID = "20261123T170000Z"
SHA256 = "0" * 64


def valid_manifest() -> dict[str, Any]:
    """A manifest as the Spark job writes it."""
    written = manifest.Manifest(
        schema_version=contract.SCHEMA_VERSION,
        run_id=RUN_ID,
        created_at="2026-11-23T17:10:00Z",
        sources=("s3://data/raw/interactions/shop.csv",),
        counts=manifest.Counts(
            events_read=20,
            kept=12,
            quarantined={"no time": 2, "no user": 1},
            duplicates=4,
            filtered=1,
            users=3,
            items=5,
            train=6,
            validation=3,
            test=3,
        ),
        split={"rule": "leave-last-two-out-in-time"},
        min_interactions=3,
        files={
            "train/part-00000.parquet": manifest.FileEntry(SHA256, 600, 6),
            "validation/part-00000.parquet": manifest.FileEntry(SHA256, 300, 3),
            "test/part-00000.parquet": manifest.FileEntry(SHA256, 300, 3),
            "users.parquet": manifest.FileEntry(SHA256, 90, 3),
        },
    )
    return json.loads(written.to_json())


def sizes() -> dict[str, int]:
    listed = {name: entry["bytes"] for name, entry in valid_manifest()["files"].items()}
    return listed | {contract.MANIFEST_FILE: 900, contract.SUCCESS_FILE: 0}


def test_constants_equal_those_of_the_contract() -> None:
    for name in (
        "RUN_ID_FORMAT",
        "RUN_ID_PLACEHOLDER",
        "MANIFEST_FILE",
        "SUCCESS_FILE",
        "SCHEMA_VERSION",
        "SPLITS",
    ):
        assert getattr(run, name) == getattr(contract, name), name
    assert (contract.__name__.split(".")[0] + ".preparation: ") == JOB_PREFIX


def test_run_id_and_location_equal_those_of_the_contract() -> None:
    moment = datetime(2026, 11, 24, 2, 0, tzinfo=ZoneInfo("Asia/Seoul"))
    run_id = run.run_id_of(moment)
    assert run_id == contract.run_id_of(moment) == contract.run_id_of(moment.astimezone(UTC)) == RUN_ID

    document = run.launch_document(json.dumps(DOCUMENT), run_id)

    assert run.step_arguments(document)[0][-1] == RUN_ID
    location = run.location_of(document, run_id)
    assert location == run.Location("data", contract.run_prefix(run_id))
    assert location.uri("_SUCCESS") == f"s3://data/prepared/run={RUN_ID}/_SUCCESS"


@pytest.mark.parametrize(
    ("published", "message"),
    [
        ("{}", "no placeholder __RUN_ID__"),
        ("__RUN_ID__", "not JSON"),
        ('["__RUN_ID__"]', "not a JSON object"),
    ],
)
def test_invalid_launch_document_is_refused(published: str, message: str) -> None:
    with pytest.raises(run.LaunchDocumentError, match=message):
        run.launch_document(published, RUN_ID)


@pytest.mark.parametrize(
    "document", [{}, {"Steps": [{}]}, {"Steps": [{"HadoopJarStep": {"Args": ["--output"]}}]}]
)
def test_document_without_output_argument_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(run.LaunchDocumentError, match="no step has --output"):
        run.location_of(document, RUN_ID)


def test_counts_of_a_valid_run_are_returned() -> None:
    counts = run.checked_counts(valid_manifest(), sizes())

    assert counts == dataclasses.asdict(manifest.parse(json.dumps(valid_manifest())).counts)


def broken(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = valid_manifest()
    change(document)
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (broken(lambda m: m.update(schema_version=2)), "schema_version is 2"),
        (broken(lambda m: m["counts"].update(duplicates=5)), "= 21, but events_read = 20"),
        (broken(lambda m: m["counts"].update(kept=13, filtered=0)), "= 12, but kept = 13"),
        (broken(lambda m: m["files"]["train/part-00000.parquet"].update(rows=5)), "train has 5 rows"),
        (broken(lambda m: m["counts"].update(users_read=2)), "users = 3, but users_read = 2"),
        (broken(lambda m: m["counts"].update(items_read=4)), "items = 5, but items_read = 4"),
        (broken(lambda m: m.pop("files")), "files: missing"),
        (broken(lambda m: m["counts"].pop("test")), "test: missing"),
        (broken(lambda m: m.update(counts=[])), "another type"),
        ([], "another type"),
    ],
)
def test_manifest_refused_by_the_platform_is_refused_by_the_dag(document: Any, message: str) -> None:
    with pytest.raises(manifest.ManifestError):
        manifest.parse(json.dumps(document))
    with pytest.raises(run.PreparedRunError, match=message):
        run.checked_counts(document, sizes())


def test_missing_or_resized_file_is_named() -> None:
    listed = sizes()
    del listed["users.parquet"]
    with pytest.raises(run.PreparedRunError, match=r"users\.parquet: in the manifest, but not in the bucket"):
        run.checked_counts(valid_manifest(), listed)
    with pytest.raises(run.PreparedRunError, match=r"users\.parquet: 89 bytes, but the manifest says 90"):
        run.checked_counts(valid_manifest(), listed | {"users.parquet": 89})
