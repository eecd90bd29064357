"""EASE: linear item-item model with a closed-form solution (Steck 2019, https://arxiv.org/abs/1905.03375).

Shapes: U users, I items, P training pairs, B users in a batch. X is the binary interaction matrix (U, I). The
score of user u for item j is x_u · w_j, where W (I, I), called B in the paper, has a zero diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- the name that PyTorch's own documentation gives it
from torch import Tensor

from ml.ncf.model.base import Features, History, ModelConfig, RankingModel, require_at_least_one
from ml.ncf.model.finite import require_finite

if TYPE_CHECKING:
    from ml.ncf.data.interactions import Interactions
    from ml.ncf.model.session import Session, SessionMap
    from ml.settings.hyperparameters import Hyperparameters

# W takes 4 I² bytes in the artifact, and its computation three float64 copies: 0.4 GB and 2.4 GB.
MAX_ITEMS = 10_000
GRAM_BATCH = 1024  # users per batch when XᵀX is computed


@dataclass(frozen=True, kw_only=True)
class EASEConfig(ModelConfig):
    """Sizes of an EASE model.

    Raises:
        ValueError: a size is out of its range.
    """

    l2: float = 500.0
    n_pairs: int = 0  # P; 0: not trained yet

    def __post_init__(self) -> None:
        require_at_least_one(self, "n_users", "n_items")
        if self.n_items > MAX_ITEMS:
            raise ValueError(
                f"architecture ease supports at most {MAX_ITEMS} items, the catalogue has {self.n_items}: "
                "its weights are a dense matrix of items x items; use gmf"
            )


class EASE(RankingModel):
    """EASE model: the item weights W and the training pairs, which are the input vectors of the users."""

    family: ClassVar[str] = "ease"
    architectures: ClassVar[tuple[str, ...]] = ("ease",)
    is_closed_form: ClassVar[bool] = True

    config: EASEConfig
    item_weights: Tensor  # W: (I, I)
    indptr: Tensor  # (U + 1,), CSR rows of X
    indices: Tensor  # (P,)

    def __init__(self, config: EASEConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("item_weights", torch.zeros(config.n_items, config.n_items))
        self.register_buffer("indptr", torch.zeros(config.n_users + 1, dtype=torch.int64))
        self.register_buffer("indices", torch.zeros(config.n_pairs, dtype=torch.int32))

    @classmethod
    def from_settings(cls, architecture: str, settings: Hyperparameters, n_users: int, n_items: int) -> EASE:
        del architecture  # the family has one
        return cls(EASEConfig(n_users=n_users, n_items=n_items, l2=settings.ease_l2))

    def initialise(self, rng: np.random.Generator, settings: Hyperparameters) -> None:
        """Does nothing: the solution does not depend on initial weights."""

    @torch.no_grad()
    def fit(self, train: Interactions) -> None:
        """Compute the item weights.

        Raises:
            ValueError: the solution does not exist, or is not finite, because λ is too small.
        """
        self.item_weights = item_weights(train, self.config.l2)
        self.indptr = torch.from_numpy(train.indptr)
        self.indices = torch.from_numpy(train.indices)
        self.config = replace(self.config, n_pairs=len(train))

    @property
    def is_dot_product(self) -> bool:
        return True

    def user_features(self, users: Tensor, history: History | None = None) -> Features:
        """Rows of X for users (...): (..., I)."""
        del history  # the training pairs are part of the model
        items, offsets = self._items_of(users.flatten())
        rows = torch.bucketize(torch.arange(len(items)), offsets, right=True) - 1
        dense = torch.zeros(users.numel(), self.config.n_items)
        dense[rows, items] = 1.0
        return (dense.view(*users.shape, -1),)

    def session_features(self, session: Session, session_map: SessionMap | None) -> Features:
        """The user's row of X with the recent items: (1, I)."""
        del session_map  # the items are the features
        row = torch.zeros(1, self.config.n_items)
        if session.user is not None:
            (row,) = self.user_features(torch.tensor([session.user]))
        row[0, session.items] = torch.maximum(row[0, session.items], session.weights)
        return (row,)

    def item_features(self, items: Tensor) -> Features:
        """Columns of W for items (...): (..., I)."""
        return (self.item_weights.T[items.long()],)

    def pairs(self, user: Features, item: Features) -> Tensor:
        return (user[0] * item[0]).sum(-1)

    def cross(self, user: Features, item: Features) -> Tensor:
        return user[0] @ item[0].T

    def score_catalogue(self, users: Tensor, history: History | None = None) -> Tensor:
        """Scores of users (B,) with all items: (B, I). Sums rows of W instead of a dense product."""
        del history
        items, offsets = self._items_of(users)
        return F.embedding_bag(items, self.item_weights, offsets, mode="sum")

    def _items_of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Training items of users (B,), concatenated, and the offset of each user: (p,) and (B,)."""
        starts, ends = self.indptr[users], self.indptr[users + 1]
        counts = ends - starts
        offsets = counts.cumsum(0) - counts
        positions = torch.arange(int(counts.sum())) + (starts - offsets).repeat_interleave(counts)
        return self.indices[positions].long(), offsets


def item_weights(train: Interactions, l2: float, activity_power: float = 0.0) -> Tensor:
    """W = E - Q diag(1 / diag(Q)), Q = (XᵀX + λE)⁻¹, E the identity (Steck 2019, equation 8): (I, I).

    Args:
        train: X, the pairs.
        l2: λ.
        activity_power: p; the row of a user with n items counts (n / mean n)^-p. 0: all rows count the same,
            so that users with long rows decide.

    Raises:
        ValueError: the solution does not exist, or is not finite, because λ is too small.
    """
    gram = torch.zeros(train.n_items, train.n_items, dtype=torch.float64)
    for users in np.array_split(np.arange(train.n_users), -(-train.n_users // GRAM_BATCH)):
        rows, items = train.gather(users)
        dense = torch.zeros(len(users), train.n_items)
        scale = np.maximum(train.counts[users], 1) / max(1.0, train.counts.mean())
        values = torch.from_numpy(scale[rows] ** (-activity_power / 2)).float()
        dense[torch.from_numpy(rows), torch.from_numpy(items.astype(np.int64))] = values
        gram += dense.T @ dense  # without a power, counts below 2^24: exact in float32
    gram.diagonal().add_(l2)
    try:
        factor = torch.linalg.cholesky(gram)
    except RuntimeError as error:  # LinAlgError, which torch's types do not export
        raise ValueError(f"ease: no solution with ease_l2 {l2:g}: raise it") from error
    del gram  # at most two matrices of this size are in memory
    precision = torch.cholesky_inverse(factor)
    del factor
    weights = precision.div_(-precision.diagonal()).fill_diagonal_(0.0).float()
    require_finite(weights, f"item weights of ease with ease_l2 {l2:g}")
    return weights
