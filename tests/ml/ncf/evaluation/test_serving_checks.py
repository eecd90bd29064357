"""Recall of an artifact's index, and whether the artifact fits the endpoint's instance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.ncf.evaluation import serving_checks
from ml.ncf.model import artifact
from ml.ncf.model.item_index import ItemIndex
from ml.settings.instance_types import ServingInstance, serving_instance


@pytest.fixture(scope="module")
def indexed(model_dir: Path) -> artifact.Artifact:
    """A trained artifact with an index, although its catalogue is small."""
    loaded = artifact.read(model_dir)
    assert loaded.model is not None
    return replace(loaded, retrieval=ItemIndex.build(loaded.model, min_items=1))


def test_index_of_a_trained_model_finds_the_best_items(indexed: artifact.Artifact) -> None:
    found = serving_checks.retrieval_report(indexed, np.random.default_rng(0))
    assert found["has_index"]
    assert found["recall_at_10"] == 1.0  # its shortlist has the whole small catalogue


def test_items_that_the_index_misses_lower_the_recall(indexed: artifact.Artifact) -> None:
    index = indexed.retrieval
    assert index is not None
    shifted = replace(indexed, retrieval=ItemIndex(index.order * 0, index.max_norms, index.segments))
    found = serving_checks.retrieval_report(shifted, np.random.default_rng(0))
    assert found["recall_at_10"] < 0.2
    (warning,) = serving_checks.warnings_of(found, serving_checks.serving_report(Path(), None))
    assert "10 best items" in warning


def test_artifact_without_an_index_is_exact(model_dir: Path) -> None:
    found = serving_checks.retrieval_report(artifact.read(model_dir), np.random.default_rng(0))
    assert found == {"recall_at_10": 1.0, "n_users": 0, "has_index": False}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ml.m5.large", ServingInstance(2, 8 << 10)),
        ("ml.c5.large", ServingInstance(2, 4 << 10)),
        ("ml.c6i.2xlarge", ServingInstance(8, 16 << 10)),
        ("ml.r5d.xlarge", ServingInstance(4, 32 << 10)),
        ("ml.m6g.large", None),
        ("ml.g4dn.xlarge", None),
        ("ml.m5.huge", None),
    ],
)
def test_memory_follows_from_the_name_of_the_type(name: str, wanted: ServingInstance | None) -> None:
    assert serving_instance(name) == wanted


def test_model_that_does_not_fit_is_warned_of_by_name(tmp_path: Path) -> None:
    with (tmp_path / "weights.pt").open("wb") as weights:
        weights.truncate(7 << 30)  # a sparse file
    report = serving_checks.serving_report(tmp_path, "ml.m5.large")
    assert report["needed_mib"] == 1024 + (7 << 10) + 2 * 300
    assert report["free_mib"] == 8192 - report["needed_mib"] < 0
    (warning,) = serving_checks.warnings_of({"recall_at_10": 1.0}, report)
    assert "8792 MiB with 2 workers, and ml.m5.large has 8192 MiB" in warning
    assert serving_checks.serving_report(tmp_path, "ml.r5.large")["free_mib"] > 0


def test_unknown_type_is_not_checked_and_warned_of(tmp_path: Path) -> None:
    report = serving_checks.serving_report(tmp_path, "ml.g4dn.xlarge")
    assert report["free_mib"] == 0
    (warning,) = serving_checks.warnings_of({"recall_at_10": 1.0}, report)
    assert "memory of ml.g4dn.xlarge is not known" in warning
