"""The popular list that the evaluation writes, as the API reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ml.ncf.evaluation.popular_list import popular_list
from tests.ml.ncf.jobs.test_evaluate import run_in


def test_list_has_the_most_popular_items_first_and_ties_in_the_order_of_the_catalogue(
    prepared_run: Path,
) -> None:
    run = run_in(prepared_run)
    run = replace(run, popularity=np.arange(len(run.item_ids)) % 7)
    found = popular_list(run, n_items=10)
    order = sorted(range(len(run.item_ids)), key=lambda row: (-run.popularity[row], row))[:10]
    assert [item["item_id"] for item in found["items"]] == [str(run.item_ids[row]) for row in order]
    assert [item["score"] for item in found["items"]] == [run.popularity[row] for row in order]
    assert found["model_version"] == run.run_id
