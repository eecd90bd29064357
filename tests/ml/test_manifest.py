"""Manifest: written and read back; wrong values and files are errors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import manifest as manifests
from ml.contract import SCHEMA_VERSION
from ml.manifest import Counts, FileEntry, Manifest, ManifestError

TRAIN = "train/part-00000.parquet"


def a_manifest(content: bytes = b"rows", **counts: Any) -> Manifest:
    entry = FileEntry(hashlib.sha256(content).hexdigest(), len(content), 6)
    small = FileEntry("0" * 64, 1, 2)
    return Manifest(
        schema_version=SCHEMA_VERSION,
        run_id="20261123T020000Z",
        created_at="2026-11-23T02:00:00Z",
        sources=("s3://data/raw/interactions/a.csv",),
        counts=Counts(
            **{
                "events_read": 17,
                "kept": 10,
                "quarantined": {"missing_user": 1, "unparsable_row": 2},
                "duplicates": 3,
                "filtered": 1,
                "users": 2,
                "items": 5,
                "train": 6,
                "validation": 2,
                "test": 2,
                **counts,
            }
        ),
        split={"rule": "leave-last-two-out-in-time"},
        min_interactions=5,
        files={TRAIN: entry, "validation/part-00000.parquet": small, "test/part-00000.parquet": small},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.json"
    path.write_text(a_manifest().to_json(), encoding="utf-8")
    return path


def test_written_manifest_is_read_back(path: Path) -> None:
    assert manifests.load(path) == a_manifest()


def test_manifest_without_later_fields_is_read(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    for name in ("min_item_interactions", "min_weight", "previous_run"):
        del document[name]
    for name in ("users_read", "items_read"):
        del document["counts"][name]
    assert manifests.parse(json.dumps(document)) == a_manifest()


@given(
    sources=st.lists(st.text()),
    parts=st.tuples(*[st.integers(0, 10**12)] * 3),
    quarantined=st.dictionaries(st.text(), st.integers(0, 10**9)),
)
def test_consistent_manifest_is_unchanged_by_json(
    sources: list[str], parts: tuple[int, int, int], quarantined: dict[str, int]
) -> None:
    duplicates, filtered, _ = parts
    base = a_manifest(
        quarantined=quarantined,
        duplicates=duplicates,
        filtered=filtered,
        events_read=10 + duplicates + filtered + sum(quarantined.values()),
    )
    manifest = dataclasses.replace(base, sources=tuple(sources))
    assert manifests.parse(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.pop("run_id"), "manifest.run_id: missing"),
        (lambda d: d.update(run_id="yesterday"), "manifest.run_id: expected text that matches"),
        (lambda d: d.update(schema_version=2), "schema_version is 2; this code reads 1"),
        (lambda d: d.update(sources="a.csv"), "manifest.sources: expected a list of text"),
        (lambda d: d["counts"].pop("items"), "manifest.counts.items: missing"),
        (lambda d: d["counts"].update(users=-1), "manifest.counts.users: expected a non-negative integer"),
        (lambda d: d["counts"].update(users=True), "manifest.counts.users: expected a non-negative integer"),
        (lambda d: d["counts"].update(events_read=18), "= 17, but events_read = 18"),
        (lambda d: d["counts"].update(train=5), "train + validation + test = 9, but kept = 10"),
        (lambda d: d["counts"].update(users_read=1), "counts: users = 2, but users_read = 1"),
        (lambda d: d["counts"].update(items_read=4), "counts: items = 5, but items_read = 4"),
        (lambda d: d["counts"].update(items_read="5"), "manifest.counts.items_read: expected a non-negative"),
        (lambda d: d.update(min_weight="0.5"), "manifest.min_weight: expected a number"),
        (lambda d: d.update(min_item_interactions=-1), "manifest.min_item_interactions: expected a non-neg"),
        (lambda d: d.update(previous_run=7), "manifest.previous_run: expected text"),
        (lambda d: d["files"][TRAIN].update(rows=7), "train has 7 rows, but counts.train = 6"),
        (lambda d: d["files"][TRAIN].update(sha256="0" * 63), f"manifest.files.{TRAIN}.sha256: expected"),
        (lambda d: d["files"].update({TRAIN: []}), f"manifest.files.{TRAIN}: expected an object"),
        (lambda d: d.pop("split"), "manifest.split: missing"),
    ],
)
def test_wrong_field_is_an_error_that_names_it(
    path: Path, damage: Callable[[dict[str, Any]], Any], message: str
) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    damage(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        manifests.load(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_file_that_is_not_a_manifest_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"manifest\.json: "):
        manifests.load(path)


def test_missing_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        manifests.load(tmp_path / "manifest.json")


def test_files_of_a_split_are_in_order() -> None:
    entry = FileEntry("0" * 64, 1, 1)
    names = ["train/part-00001.parquet", "train/part-00000.parquet", "users.parquet", "training.parquet"]
    manifest = dataclasses.replace(a_manifest(), files=dict.fromkeys(names, entry))
    assert manifest.split_files("train") == ("train/part-00000.parquet", "train/part-00001.parquet")


def test_file_with_the_same_bytes_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "anywhere.parquet"
    file.write_bytes(b"rows")
    manifests.verify_files(a_manifest(b"rows"), {TRAIN: file})
    file.write_bytes(b"rowz")
    with pytest.raises(ManifestError):
        manifests.verify_files(a_manifest(b"rows"), {TRAIN: file})


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"row", "3 bytes, but the manifest says 4"), (b"r0ws", "sha256 is"), (None, "cannot be read")],
)
def test_file_that_differs_is_an_error_that_names_it(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "copy.parquet"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ManifestError, match=message) as caught:
        manifests.verify_files(a_manifest(b"rows"), {TRAIN: file})
    assert str(caught.value).startswith(TRAIN)


def test_file_that_is_not_in_the_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"extra\.parquet: not in the manifest of run 20261123T020000Z"):
        manifests.verify_files(a_manifest(), {"extra.parquet": tmp_path})
