"""The popular list that the evaluation writes, as the API reads it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ml.ncf.data.prepared_run import PreparedRun
from ml.ncf.evaluation.popular_list import popular_list


def test_list_has_the_most_popular_items_first_and_ties_in_the_order_of_the_catalogue(
    run: PreparedRun,
) -> None:
    run = replace(run, popularity=np.arange(len(run.item_ids)) % 7)
    found = popular_list(run, n_items=10)
    order = sorted(range(len(run.item_ids)), key=lambda row: (-run.popularity[row], row))[:10]
    assert [item["item_id"] for item in found["items"]] == [str(run.item_ids[row]) for row in order]
    assert [item["score"] for item in found["items"]] == [run.popularity[row] for row in order]
    assert found["model_version"] == run.run_id
