"""A small shop for tests of the whole job: its events, settings and prepared runs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from ml.contract import (
    ITEM_FEATURES_FILE,
    ITEMS_FILE,
    POPULARITY_FILE,
    QUALITY_FILE,
    SPLITS,
    USER_FEATURES_FILE,
    USERS_FILE,
)
from ml.preparation import job
from ml.settings.fields import settings_of
from ml.settings.preparation import (
    CleanSettings,
    PreparationSettings,
    QualitySettings,
    ReadSettings,
    RunSettings,
    SplitSettings,
    WeightSettings,
)

RUN_ID = "20261123T020000Z"
DATA_FILES = {
    USERS_FILE,
    ITEMS_FILE,
    POPULARITY_FILE,
    USER_FEATURES_FILE,
    ITEM_FEATURES_FILE,
    *(f"{split}/part-00000.parquet" for split in SPLITS),
}
COMPLETE_RUN = {*DATA_FILES, QUALITY_FILE, "manifest.json", "_SUCCESS"}
_GROUPS = (RunSettings, ReadSettings, WeightSettings, CleanSettings, SplitSettings, QualitySettings)
START_S = 1_600_000_000


def settings_for(source: object, output: object, run_id: str = RUN_ID, **changes: Any) -> PreparationSettings:
    """Settings of a run; each change applies to the group that declares the setting."""

    def group(kind: Any) -> Any:
        return kind(
            **{each.name: changes.pop(each.name) for each in settings_of(kind) if each.name in changes}
        )

    changes |= {"input": str(source), "output": str(output), "run_id": run_id}
    settings = PreparationSettings(*(group(each) for each in _GROUPS))
    assert not changes, f"unknown settings {sorted(changes)}"
    return settings


def shop_lines(n_users: int = 12, n_items: int = 9) -> list[str]:
    """CSV lines of users with n_items events each, in a random order."""
    rng = random.Random(5)
    return [
        f"u{user:02d},i{item:02d},{START_S + 60 * position}"
        for user in range(n_users)
        for position, item in enumerate(rng.sample(range(20), n_items))
    ]


def write_shop(folder: Path, lines: Sequence[str], name: str = "shop.csv") -> Path:
    """Write a CSV file with a header; returns its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["user_id,item_id,timestamp", *lines, ""]), encoding="utf-8")
    return path


def prepare(spark: SparkSession, source: Path, output: Path, run_id: str = RUN_ID, **changes: Any) -> Path:
    """Prepare a run; returns its folder."""
    job.prepare(spark, settings_for(source, output, run_id, **changes))
    return output / f"run={run_id}"


def files_of(run: Path) -> dict[str, bytes]:
    """The files of a run by name."""
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def data_files(run: Path) -> dict[str, bytes]:
    """The Parquet files of a run by name."""
    return {name: content for name, content in files_of(run).items() if name.endswith(".parquet")}


def table(run: Path, name: str) -> Any:
    """A Parquet file of a run as a pyarrow table."""
    return pq.ParquetFile(run / name).read()
