"""GMF whose item vectors are factors of EASE's weights, for blending with trained GMF parts.

EASE scores a user by the sum of rows of W (`ml.ncf.model.ease`). With a truncated singular value
decomposition W = Y Qᵀ, that is a dot product of pooled vectors y_j of the user's history and q_i.

Shapes: I items, D factors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from ml.ncf.model.ease import item_weights
from ml.ncf.model.ncf import NCF
from ml.ncf.model.towers import NCFConfig

if TYPE_CHECKING:
    from ml.ncf.data.interactions import Interactions
    from ml.settings.hyperparameters import Hyperparameters

MAX_ITEMS = 5_000  # the inverse takes about ten seconds of CPU, twice with a refit
OVERSAMPLING = 32  # Halko et al. 2011, "Finding structure with randomness", algorithm 4.4
POWER_ITERATIONS = 2
ACTIVITY_POWER = 0.5  # of `item_weights`: users count the same in the metrics, whatever their activity


class EASEFactors(NCF):
    """GMF with history, computed in one step; a user without items has the vector 0."""

    architectures: ClassVar[tuple[str, ...]] = ("gmf-ease",)
    is_closed_form: ClassVar[bool] = True

    def __init__(self, config: NCFConfig, l2: float) -> None:
        super().__init__(config)
        self._l2 = l2
        self._generator = torch.Generator()

    @classmethod
    def from_settings(
        cls, architecture: str, settings: Hyperparameters, n_users: int, n_items: int
    ) -> EASEFactors:
        del architecture  # in the artifact it is a GMF
        sizes = NCF.from_settings("gmf", settings, n_users, n_items).config
        n_factors = min(settings.ease_factor_num, n_items)
        return cls(replace(sizes, factor_num=n_factors, history=True), settings.ease_l2)

    @staticmethod
    def supports(n_items: int) -> bool:
        """Whether the catalogue is small enough for EASE."""
        return n_items <= MAX_ITEMS

    def initialise(self, rng: np.random.Generator, settings: Hyperparameters) -> None:
        del settings
        self._generator.manual_seed(int(rng.integers(2**63)))

    @torch.no_grad()
    def fit(self, train: Interactions) -> None:
        """Compute the item and history vectors; the users have no vectors of their own.

        Raises:
            ValueError: the solution of EASE does not exist.
        """
        assert self.gmf is not None  # noqa: S101 -- built as a GMF
        left, values, right = truncated_svd(
            item_weights(train, self._l2, ACTIVITY_POWER), self.config.factor_num, self._generator
        )
        history = self.gmf.user_input.history
        assert history is not None  # noqa: S101 -- built with history
        self.gmf.user_input.embedding.weight.zero_()
        history.weight.copy_(left * values.sqrt())
        self.gmf.item_embedding.weight.copy_(right * values.sqrt())
        self.gmf.output.requires_grad_(False)


def truncated_svd(
    matrix: Tensor, n_factors: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """The largest singular values (D,) of a matrix (I, I), with their left and right vectors (I, D).

    Randomised subspace iteration (Halko et al. 2011, algorithm 4.4); torch's own draws from the global
    generator.
    """
    width = min(n_factors + OVERSAMPLING, len(matrix))
    basis = torch.randn(len(matrix), width, generator=generator)
    for _ in range(POWER_ITERATIONS):
        basis, _ = torch.linalg.qr(matrix @ (matrix.T @ basis))
    left, values, right = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
    return (basis @ left)[:, :n_factors], values[:n_factors], right[:n_factors].T
