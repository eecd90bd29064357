"""Popularity, and EASE in this project's implementation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.peer_models.peer import CatalogueScorer, Rows, Training
from ml.ncf.data.interactions import Interactions
from ml.ncf.model.ease import EASE, EASEConfig


class Popularity:
    """Number of known users of each item."""

    def train(self, rows: Rows, training: Training) -> CatalogueScorer:
        del training
        counts = np.bincount(rows.items, minlength=rows.n_items).astype(np.float32)
        return CatalogueScorer(lambda users: np.tile(counts, (len(users), 1)))


class ClosedFormEASE:
    """EASE (Steck 2019)."""

    def train(self, rows: Rows, training: Training) -> CatalogueScorer:
        model = EASE(EASEConfig(n_users=rows.n_users, n_items=rows.n_items, l2=training.values["l2"]))
        model.fit(Interactions.from_pairs(rows.users, rows.items, rows.n_users, rows.n_items))

        def catalogue(users: NDArray[np.int64]) -> NDArray[np.float32]:
            return model.score_catalogue(torch.from_numpy(users)).numpy()

        return CatalogueScorer(catalogue)
