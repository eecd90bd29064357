"""Previous run: its id maps are extended, and its counts and popularity are compared with the new run's."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
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
from ml.preparation.detect.as_before import PreviousLayouts
from ml.preparation.errors import InputError, root_cause
from ml.preparation.spark.storage import Storage, literal_path
from ml.settings.preparation import DETECT, ReadSettings, RunSettings

NO_RUN = "none"

_log = logging.getLogger(__name__)
_FOLDER = "run="
_FIX = "give --previous-run another run, or none to number the ids anew"
_SCHEMAS = {
    USERS_FILE: "user_id string, user_index int",
    ITEMS_FILE: "item_id string, item_index int",
    POPULARITY_FILE: "item_index int, n_interactions bigint",
}


@dataclass(frozen=True)
class PreviousRun:
    """A complete earlier run whose files match its manifest."""

    uri: str
    manifest: Manifest
    users: DataFrame  # user_id, user_index
    items: DataFrame  # item_id, item_index
    popularity: DataFrame  # item_index, n_interactions

    def layouts_of(self, run: RunSettings, read: ReadSettings) -> PreviousLayouts | None:
        """How the run read its input, if a new run is to read the same input in the same way."""
        if read.layout == DETECT or not self.manifest.layouts or self.manifest.input != run.input.rstrip("/"):
            return None
        return PreviousLayouts(self.uri, self.manifest.layouts)


def find_previous_run(spark: SparkSession, storage: Storage, run: RunSettings) -> PreviousRun | None:
    """Find and check the run that a new run continues; None if there is none.

    Args:
        spark: the session.
        storage: file systems of the runs.
        run: the new run. Its ``previous_run`` is the URI of a run; ``none`` for no run; or None for the
            newest complete run in ``output`` with an earlier run id, so that preparing a run again continues
            the same run as before.

    Raises:
        InputError: the previous run is incomplete or does not match its manifest; the message names the run
            and the file.
    """
    if run.previous_run == NO_RUN:
        return None
    if run.previous_run is not None:
        uri: str | None = run.previous_run.rstrip("/")
    else:
        uri = _newest_before(storage, run.output.rstrip("/"), run.run_id)
    if uri is None:
        return None
    found = _load(spark, storage, uri)
    if found.manifest.run_id == run.run_id:
        raise InputError(f"--previous-run {uri}: is run {run.run_id} itself; give an earlier one, or none")
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


def _load(spark: SparkSession, storage: Storage, uri: str) -> PreviousRun:
    if not storage.exists(f"{uri}/{SUCCESS_FILE}"):
        raise InputError(f"previous run {uri}: incomplete: it has no {SUCCESS_FILE}; {_FIX}")
    try:
        manifest = parse(storage.read_text(f"{uri}/{MANIFEST_FILE}"))
        for name in _SCHEMAS:
            file = f"{uri}/{name}"
            manifest.check_file(name, storage.size_bytes(file), partial(storage.sha256, file))
    except ManifestError as error:
        raise InputError(f"previous run {uri}: damaged: {error}; {_FIX}") from error
    except Py4JJavaError as error:
        raise InputError(f"previous run {uri}: cannot be read: {root_cause(error)}; {_FIX}") from error
    tables: dict[str, Any] = {
        name: spark.read.schema(schema).parquet(literal_path(f"{uri}/{name}"))
        for name, schema in _SCHEMAS.items()
    }
    for name, index in ((USERS_FILE, "user_index"), (ITEMS_FILE, "item_index")):
        if not _is_dense(tables[name], index):
            raise InputError(f"previous run {uri}: damaged: {name}: {index} is not 0 to n - 1; {_FIX}")
    return PreviousRun(uri, manifest, tables[USERS_FILE], tables[ITEMS_FILE], tables[POPULARITY_FILE])


def _is_dense(table: DataFrame, index: str) -> bool:
    """Whether the indices of an id map are 0 to n - 1, which extending the map requires."""
    found = table.agg(
        F.count("*").alias("n"),
        F.count(index).alias("n_indices"),
        F.min(index).alias("min"),
        F.max(index).alias("max"),
    ).first()
    if found is None:
        return False
    return found["n"] == found["n_indices"] == (found["max"] or 0) + 1 and found["min"] == 0
