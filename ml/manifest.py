"""Manifest of a prepared run: counts, settings and the size and SHA-256 of each file.

Readers of a run load the manifest first and verify the files that they use. Standard library only and
compatible with Python 3.9 (EMR 7), since the Spark job writes the manifest and the training container reads
it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ml.contract import RUN_ID_PATTERN, SCHEMA_VERSION, SPLITS

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


class ManifestError(ValueError):
    """Invalid manifest, or a file that does not match it."""


@dataclass(frozen=True)
class FileEntry:
    """Size, checksum and rows of one data file."""

    sha256: str  # lower-case hexadecimal
    bytes: int
    rows: int


@dataclass(frozen=True)
class Counts:
    """Counts of a run: ``events_read = kept + quarantined + left_out + duplicates + filtered``."""

    events_read: int
    kept: int  # train + validation + test
    quarantined: Mapping[str, int]  # by reason
    duplicates: int  # events of a user-item pair other than its newest
    filtered: int  # pairs in no split: low weight, outside the k-core, unseen in train
    users: int  # in a split; users.parquet also has the users of earlier runs
    items: int
    train: int
    validation: int
    test: int
    users_read: int = 0  # with usable events, before filtering; 0: not in the manifest
    items_read: int = 0
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)  # by reason; the settings say so

    def check(self) -> None:
        """Raise ManifestError unless the counts add up."""
        unused = sum(self.quarantined.values()) + sum(self.left_out.values())
        accounted = self.kept + unused + self.duplicates + self.filtered
        if accounted != self.events_read:
            raise ManifestError(
                f"counts: kept + quarantined + left_out + duplicates + filtered = {accounted}, "
                f"but events_read = {self.events_read}"
            )
        in_splits = self.train + self.validation + self.test
        if in_splits != self.kept:
            raise ManifestError(f"counts: train + validation + test = {in_splits}, but kept = {self.kept}")
        for name, kept, read in (
            ("users", self.users, self.users_read),
            ("items", self.items, self.items_read),
        ):
            if read and kept > read:
                raise ManifestError(f"counts: {name} = {kept}, but {name}_read = {read}")


@dataclass(frozen=True)
class Manifest:
    """``manifest.json`` of a prepared run."""

    schema_version: int
    run_id: str
    created_at: str  # ISO 8601, UTC
    sources: tuple[str, ...]  # the files that were read
    counts: Counts
    split: Mapping[str, Any]  # at least {"rule": ...}
    min_interactions: int
    files: Mapping[str, FileEntry]  # by name relative to the run, such as "train/part-00000.parquet"
    min_item_interactions: int = 1
    min_weight: float = 0.0
    previous_run: str | None = None  # URI of the run whose id maps this one extends
    input: str | None = None  # the file or folder of the sources
    layouts: tuple[Mapping[str, Any], ...] = ()  # how the sources were read; of files of equal layout, one

    def split_files(self, split: str) -> tuple[str, ...]:
        """Names of a split's files, relative to the run, in order."""
        return tuple(sorted(name for name in self.files if name.startswith(f"{split}/")))

    def check(self) -> None:
        """Raise ManifestError unless the counts are consistent with each other and with the files."""
        self.counts.check()
        for split in SPLITS:
            in_files = sum(self.files[name].rows for name in self.split_files(split))
            counted = getattr(self.counts, split)
            if in_files != counted:
                raise ManifestError(f"files: {split} has {in_files} rows, but counts.{split} = {counted}")

    def check_file(self, name: str, size_bytes: int, sha256: Callable[[], str]) -> None:
        """Raise ManifestError unless a file has the size and SHA-256 of its entry.

        Args:
            name: name of the file, relative to the run.
            size_bytes: its size.
            sha256: computes its SHA-256 in lower-case hexadecimal; called only if the size matches.
        """
        entry = self.files.get(name)
        if entry is None:
            raise ManifestError(f"{name}: not in the manifest of run {self.run_id}")
        if size_bytes != entry.bytes:
            raise ManifestError(f"{name}: {size_bytes} bytes, but the manifest says {entry.bytes}")
        digest = sha256()
        if digest != entry.sha256:
            raise ManifestError(f"{name}: sha256 is {digest}, but the manifest says {entry.sha256}")

    def to_json(self) -> str:
        """JSON text: indented, with keys in the order of this class."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"


def load(path: Path | str) -> Manifest:
    """Read and check a manifest file.

    Raises:
        ManifestError: the file is missing or not JSON, has another schema version, lacks a field,
            or has inconsistent counts. The message names the file and the field.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read: {error}") from error
    try:
        return parse(text)
    except ManifestError as error:
        raise ManifestError(f"{path}: {error}") from error


def parse(text: str) -> Manifest:
    """Parse and check the JSON text of a manifest; raises ManifestError, which names the wrong field."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ManifestError(f"not JSON: {error}") from error
    root = _Fields(document, "manifest")
    version = root.integer("schema_version")
    if version != SCHEMA_VERSION:
        raise ManifestError(f"schema_version is {version}; this code reads {SCHEMA_VERSION}")
    manifest = Manifest(
        schema_version=version,
        run_id=root.text("run_id", RUN_ID_PATTERN),
        created_at=root.text("created_at"),
        sources=root.texts("sources"),
        counts=_counts(root.fields("counts")),
        split=root.fields("split").document,
        min_interactions=root.integer("min_interactions"),
        files={name: _entry(root.fields("files").fields(name)) for name in root.fields("files").document},
        min_item_interactions=root.integer("min_item_interactions", 1),
        min_weight=root.number("min_weight", 0.0),
        previous_run=root.text("previous_run") if root.document.get("previous_run") is not None else None,
        input=root.text("input") if root.document.get("input") is not None else None,
        layouts=root.objects("layouts") if "layouts" in root.document else (),
    )
    manifest.check()
    return manifest


def verify_files(manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Check that each file has the size and SHA-256 in the manifest.

    Args:
        manifest: manifest of the run.
        files: local path of each file, by its name relative to the run.

    Raises:
        ManifestError: a name is not in the manifest; a file is missing, or has another size or SHA-256. The
            message names the file.
    """
    for name, path in files.items():
        if name not in manifest.files:
            raise ManifestError(f"{name}: not in the manifest of run {manifest.run_id}")
        try:
            manifest.check_file(name, path.stat().st_size, partial(_sha256, path))
        except OSError as error:
            raise ManifestError(f"{name}: cannot be read: {error}") from error


class _Fields:
    """JSON object with typed access to its fields; errors name the path of the field."""

    def __init__(self, document: Any, path: str) -> None:
        if not isinstance(document, dict):
            raise ManifestError(f"{path}: expected an object")
        self.document: dict[str, Any] = document
        self.path = path

    def _get(self, name: str) -> Any:
        try:
            return self.document[name]
        except KeyError:
            raise ManifestError(f"{self.path}.{name}: missing") from None

    def integer(self, name: str, default: int | None = None) -> int:
        value = self._get(name) if default is None else self.document.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ManifestError(f"{self.path}.{name}: expected a non-negative integer, got {value!r}")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.document.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ManifestError(f"{self.path}.{name}: expected a number, got {value!r}")
        return value

    def text(self, name: str, pattern: re.Pattern[str] | None = None) -> str:
        value = self._get(name)
        if not isinstance(value, str) or (pattern is not None and not pattern.fullmatch(value)):
            wanted = f"text that matches {pattern.pattern}" if pattern is not None else "text"
            raise ManifestError(f"{self.path}.{name}: expected {wanted}, got {value!r}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._get(name)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ManifestError(f"{self.path}.{name}: expected a list of text")
        return tuple(value)

    def objects(self, name: str) -> tuple[dict[str, Any], ...]:
        value = self._get(name)
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise ManifestError(f"{self.path}.{name}: expected a list of objects")
        return tuple(value)

    def fields(self, name: str) -> _Fields:
        return _Fields(self._get(name), f"{self.path}.{name}")


def _counts(fields: _Fields) -> Counts:
    plain = {
        each.name: fields.integer(each.name)
        for each in dataclasses.fields(Counts)
        if each.name not in ("quarantined", "left_out")
        and (each.default is dataclasses.MISSING or each.name in fields.document)
    }
    left_out = _by_reason(fields.fields("left_out")) if "left_out" in fields.document else {}
    return Counts(quarantined=_by_reason(fields.fields("quarantined")), left_out=left_out, **plain)


def _by_reason(fields: _Fields) -> dict[str, int]:
    return {reason: fields.integer(reason) for reason in fields.document}


def _entry(fields: _Fields) -> FileEntry:
    return FileEntry(
        sha256=fields.text("sha256", _SHA256), bytes=fields.integer("bytes"), rows=fields.integer("rows")
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK_BYTES), b""):
            digest.update(chunk)
    return digest.hexdigest()
