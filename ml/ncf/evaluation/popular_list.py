"""Popular list of a run, which the API answers with when the endpoint does not (ADR 28)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.contract import MAX_POPULAR_ITEMS, SCHEMA_VERSION
from ml.ncf.data.prepared_run import PreparedRun


def popular_list(run: PreparedRun, n_items: int = MAX_POPULAR_ITEMS) -> dict[str, Any]:
    """The content of `popular.json`: most popular first, ties in the order of the catalogue, as in serving.

    Args:
        run: the prepared run of the model; its id is the model's version.
        n_items: length of the list, if the catalogue has as many items.
    """
    rows = np.argsort(-run.popularity, kind="stable")[:n_items]
    items = [{"item_id": str(run.item_ids[row]), "score": int(run.popularity[row])} for row in rows]
    return {"schema_version": SCHEMA_VERSION, "model_version": run.run_id, "items": items}
