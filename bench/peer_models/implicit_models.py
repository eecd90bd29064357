"""iALS and BPR of `implicit` (https://github.com/benfred/implicit)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from bench.peer_models.peer import CatalogueScorer, Rows, Training


class _Factorization:
    """A model of `implicit`; its iterations are a hyperparameter."""

    model: ClassVar[Any]

    def train(self, rows: Rows, training: Training) -> CatalogueScorer:
        ones = np.ones(len(rows.users), dtype=np.float32)
        matrix = csr_matrix((ones, (rows.users, rows.items)), shape=(rows.n_users, rows.n_items))
        model = self.model(**training.values, random_state=training.seed, num_threads=1)
        model.fit(matrix, show_progress=False)
        users_of, items_of = model.user_factors, model.item_factors

        def catalogue(users: NDArray[np.int64]) -> NDArray[np.float32]:
            return users_of[users] @ items_of.T

        return CatalogueScorer(catalogue)


class IALS(_Factorization):
    """Implicit alternating least squares (Hu et al. 2008)."""

    model = AlternatingLeastSquares


class BPR(_Factorization):
    """Matrix factorization with the BPR loss (Rendle et al. 2009)."""

    model = BayesianPersonalizedRanking
