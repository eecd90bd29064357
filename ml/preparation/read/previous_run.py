"""The run before this one: its id maps are extended, and its counts and popularity are compared with."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import (
    ITEMS_FILE,
    MANIFEST_FILE,
    POPULARITY_FILE,
    RUN_ID_PATTERN,
    SUCCESS_FILE,
    USERS_FILE,
)
from ml.manifest import Manifest, ManifestError, parse
from ml.preparation.errors import InputError, first_cause
from ml.preparation.spark.storage import Storage, literal_path

NO_RUN = "none"

_log = logging.getLogger(__name__)
_FOLDER = "run="
_SCHEMAS = {
    USERS_FILE: "user_id string, user_index int",
    ITEMS_FILE: "item_id string, item_index int",
    POPULARITY_FILE: "item_index int, n_interactions bigint",
}


@dataclass(frozen=True)
class PreviousRun:
    """A whole earlier run, found to be as its manifest says."""

    uri: str
    manifest: Manifest
    users: DataFrame  # user_id, user_index
    items: DataFrame  # item_id, item_index
    popularity: DataFrame  # item_index, n_interactions


def previous_run(
    spark: SparkSession, storage: Storage, output: str, run_id: str, given: str | None
) -> PreviousRun | None:
    """The run that a new one continues; None for a first one.

    Args:
        spark: the session.
        storage: where the runs lie.
        output: the prepared root.
        run_id: of the new run.
        given: the URI of a run, ``none`` for no run at all, or None for the newest whole one below ``output``
            that is earlier than ``run_id``: a run that is prepared again continues the same one.

    Raises:
        InputError: the run is not whole, or not as its manifest says; the message names it and the file.
    """
    if given == NO_RUN:
        return None
    uri = given.rstrip("/") if given is not None else _newest_before(storage, output.rstrip("/"), run_id)
    if uri is None:
        return None
    found = _checked(spark, storage, uri)
    if found.manifest.run_id == run_id:
        raise InputError(f"--previous-run {uri}: is run {run_id} itself; give an earlier one, or none")
    _log.info("begin: continuing %s", uri)
    return found


def _newest_before(storage: Storage, root: str, run_id: str) -> str | None:
    names = [name[len(_FOLDER) :] for name in storage.list_folders(root) if name.startswith(_FOLDER)]
    earlier = sorted(name for name in names if RUN_ID_PATTERN.fullmatch(name) and name < run_id)
    for name in reversed(earlier):
        uri = f"{root}/{_FOLDER}{name}"
        if storage.exists(f"{uri}/{SUCCESS_FILE}"):
            return uri
    return None


def _checked(spark: SparkSession, storage: Storage, uri: str) -> PreviousRun:
    what_to_do = "give --previous-run another run, or none to number the ids anew"
    if not storage.exists(f"{uri}/{SUCCESS_FILE}"):
        raise InputError(f"previous run {uri}: no {SUCCESS_FILE} in it: it is not whole; {what_to_do}")
    try:
        manifest = parse(storage.read_text(f"{uri}/{MANIFEST_FILE}"))
        for name in _SCHEMAS:
            _check_file(storage, uri, manifest, name)
    except ManifestError as error:
        raise InputError(f"previous run {uri}: damaged: {error}; {what_to_do}") from error
    except Py4JJavaError as error:
        raise InputError(f"previous run {uri}: cannot be read: {first_cause(error)}; {what_to_do}") from error
    tables: dict[str, Any] = {
        name: spark.read.schema(schema).parquet(literal_path(f"{uri}/{name}"))
        for name, schema in _SCHEMAS.items()
    }
    for name, index in ((USERS_FILE, "user_index"), (ITEMS_FILE, "item_index")):
        _check_dense(tables[name], index, f"previous run {uri}: damaged: {name}", what_to_do)
    return PreviousRun(uri, manifest, tables[USERS_FILE], tables[ITEMS_FILE], tables[POPULARITY_FILE])


def _check_file(storage: Storage, uri: str, manifest: Manifest, name: str) -> None:
    entry = manifest.files.get(name)
    if entry is None:
        raise ManifestError(f"{name}: not in the manifest")
    size = storage.size_bytes(f"{uri}/{name}")
    if size != entry.bytes:
        raise ManifestError(f"{name}: {size} bytes, but the manifest says {entry.bytes}")
    digest = storage.sha256(f"{uri}/{name}")
    if digest != entry.sha256:
        raise ManifestError(f"{name}: sha256 is {digest}, but the manifest says {entry.sha256}")


def _check_dense(table: DataFrame, index: str, what: str, what_to_do: str) -> None:
    """Refuse a map that could not be extended: its indices must be 0 to n - 1."""
    found = table.agg(
        F.count("*").alias("n"),
        F.count(index).alias("with"),
        F.min(index).alias("least"),
        F.max(index).alias("most"),
    ).first()
    if found is None or not (found["n"] == found["with"] == (found["most"] or 0) + 1 and found["least"] == 0):
        raise InputError(f"{what}: {index} is not 0 to n - 1; {what_to_do}")
