"""Interface of a model family, through which training, evaluation, the artifact and serving use a model.

To add a family: implement `RankingModel` in a module of this package, list the class in
`ml.ncf.model.registry`, and add its architecture and settings to `ml.settings.hyperparameters`.

Shapes: B users or pairs, N items per user, K items shared by all users, I items in the catalogue, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml.ncf.model.ranked import Ranked

if TYPE_CHECKING:  # serving imports this module without them
    from ml.ncf.data.interactions import Interactions
    from ml.ncf.model.session import Session, SessionMap
    from ml.settings.hyperparameters import Hyperparameters

Features = tuple[Tensor, ...]  # for example one tensor per tower


@dataclass(frozen=True)
class History:
    """Items that B users have interacted with, concatenated: those of user b start at `offsets[b]`."""

    items: Tensor  # (p,)
    offsets: Tensor  # (B,)
    weights: Tensor  # (p,), weight of each item in the pooled history of its user


HistoryOf = Callable[[Tensor], History | None]  # users (B,) to their histories


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of a model, as recorded in model.json; each family extends it with its fields."""

    n_users: int
    n_items: int

    def as_dict(self) -> dict[str, Any]:
        """Keyword arguments that rebuild the configuration."""
        return asdict(self)


class RankingModel(nn.Module, ABC):
    """Scores user-item pairs: the higher the logit, the better the item's rank.

    The artifact stores `config` and the state dict; `type(model)(config)` followed by `load_state_dict` must
    restore the model.
    """

    family: ClassVar[str]  # name in model.json
    architectures: ClassVar[tuple[str, ...]]  # values of the hyperparameter `architecture`
    is_closed_form: ClassVar[bool] = False  # trained by one call of `fit` instead of gradient descent

    config: ModelConfig

    # -- building and training ------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def from_settings(cls, architecture: str, settings: Hyperparameters, n_users: int, n_items: int) -> Self:
        """Build the untrained model.

        Raises:
            ValueError: a size is out of the range that the family supports.
        """

    @abstractmethod
    def initialise(self, rng: np.random.Generator, settings: Hyperparameters) -> None:
        """Set the initial weights; every random number comes from `rng`."""

    def fit(self, train: Interactions) -> None:
        """Compute the weights from the interactions (closed-form families)."""
        del train
        raise NotImplementedError(f"{type(self).__name__} is trained by gradient descent")

    def use_dropout_generator(self, rng: np.random.Generator) -> None:
        """Draw dropout masks from `rng`; a family without dropout ignores it."""
        del rng

    def user_tables(self) -> list[nn.Embedding]:
        """Embedding tables with one row per user, updated row by row (`ml.ncf.training.optimizer`)."""
        return []

    @property
    def uses_history(self) -> bool:
        """Whether the scores depend on the `history` argument."""
        return False

    def folded(self, history_of: HistoryOf) -> RankingModel:
        """The model to serve: the same scores without the `history` argument."""
        del history_of
        return self

    @classmethod
    def fused(cls, parts: Sequence[tuple[RankingModel, float]], settings: Hyperparameters) -> Self:
        """The model whose logits are the sum of those of separately trained models, by blend weight.

        Raises:
            ValueError: the family does not support it, or not these parts.
        """
        del parts, settings
        raise ValueError(f"{cls.__name__} cannot be built from parts")

    def session_features(self, session: Session, session_map: SessionMap | None) -> Features | None:
        """Features (1, F) of a user from recent items; None if the model cannot compute them.

        Args:
            session: the recent items; of a known user with the index.
            session_map: of the artifact; None: it has none.
        """
        del session, session_map
        return None

    # -- scoring --------------------------------------------------------------------------------

    @property
    def is_dot_product(self) -> bool:
        """Whether `score_catalogue` is one matrix product, and thus cheaper than scoring pairs one by one."""
        return False

    @abstractmethod
    def user_features(self, users: Tensor, history: History | None = None) -> Features:
        """Features of users (...): tensors of shape (..., F)."""

    @abstractmethod
    def item_features(self, items: Tensor) -> Features:
        """Features of items (...): tensors of shape (..., F)."""

    def catalogue_features(self) -> Features:
        """Features of all I items: tensors of shape (I, F)."""
        return self.item_features(torch.arange(self.config.n_items))

    @abstractmethod
    def pairs(self, user: Features, item: Features) -> Tensor:
        """Logits of features that broadcast against each other: (..., F) and (..., F) to (...)."""

    @abstractmethod
    def cross(self, user: Features, item: Features) -> Tensor:
        """Logits of every user with every item: (B, F) and (K, F) to (B, K)."""

    def item_vectors(self) -> Tensor | None:
        """Vectors of all items for retrieval: (I, F), not copied; None if the family has none.

        The inner product with `query` is the logit if `is_dot_product`, otherwise an approximation.
        """
        return None

    def query(self, features: Features) -> Tensor | None:
        """Vectors for retrieval of users with features (B, F): (B, F); None if the family has none."""
        del features
        return None

    def rescored(
        self, features: Features, found: Sequence[Ranked], excluded: Sequence[NDArray]
    ) -> list[Ranked]:
        """Candidates of users and their logits, in any order, for models that are no dot product.

        The result of a user does not depend on the other users of the call.

        Args:
            features: of B users, (B, F) each.
            found: items with the greatest inner products with `query`, and these.
            excluded: items that each user does not get, ascending; for families that add candidates without a
                high inner product.
        """
        del excluded
        lists = []
        for row, (items, _) in enumerate(found):
            user = tuple(each[row : row + 1] for each in features)
            lists.append((items, self.pairs(user, self.item_features(torch.from_numpy(items))).numpy()))
        return lists

    def forward(self, users: Tensor, items: Tensor, history: History | None = None) -> Tensor:
        """Logits of users (B,) with items (B,) or (B, N): (B,) or (B, N)."""
        user = self.user_features(users, history)
        if items.dim() > users.dim():
            user = tuple(features.unsqueeze(1) for features in user)
        return self.pairs(user, self.item_features(items))

    def score_catalogue(self, users: Tensor, history: History | None = None) -> Tensor:
        """Logits of users (B,) with all I items: (B, I)."""
        return self.cross(self.user_features(users, history), self.catalogue_features())


def require_at_least_one(config: ModelConfig, *names: str) -> None:
    """Raise ValueError unless each named size of the configuration is at least 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} is {getattr(config, name)}: at least 1")
