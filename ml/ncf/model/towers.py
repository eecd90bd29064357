"""Towers of the NCF models: GMF and MLP (He et al. 2017, https://arxiv.org/abs/1708.05031), and their sizes.

Shapes: B users or pairs, K items shared by all users, F features.

A tower computes the features of each user and item once (`user_features`, `item_features`) and combines them
in one of two ways, both returning logits:

* `pairs`:  (B, ..., F) with (B, ..., F), broadcast, to (B, ...): for training on pairs;
* `cross`:  (B, F) with (K, F) to (B, K): for scoring a catalogue, whose features are `catalogue_features`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- the name that PyTorch's own documentation gives it
from torch import Tensor, nn

from ml.ncf.model.base import History, ModelConfig, require_at_least_one
from ml.ncf.model.pooling import pooled_rows, whole_table

ARCHITECTURES = ("gmf", "mlp", "neumf")
CROSS_CHUNK_BYTES = 32 * 2**20  # limit of the size of a hidden layer when scoring the catalogue


@dataclass(frozen=True, kw_only=True)
class NCFConfig(ModelConfig):
    """Sizes of an NCF model; the defaults of factor_num, num_layers and dropout are those of the AWS post.

    Raises:
        ValueError: a size or rate is out of its range.
    """

    architecture: str = "neumf"
    factor_num: int = 32  # factors of GMF
    mlp_factor_num: int = 32  # width of the MLP's last hidden layer: "predictive factors", section 4.1
    num_layers: int = 3
    dropout: float = 0.3
    history: bool = False  # user inputs pool their histories; always false in a served model

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"architecture is {self.architecture!r}: one of {', '.join(ARCHITECTURES)}")
        require_at_least_one(self, "n_users", "n_items", "factor_num", "mlp_factor_num", "num_layers")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}: at least 0 and less than 1")

    @property
    def mlp_embedding_dim(self) -> int:
        """Width of one MLP embedding: the tower halves from twice this down to `mlp_factor_num`."""
        return self.mlp_factor_num * 2 ** (self.num_layers - 1)


class Dropout(nn.Module):
    """Inverted dropout with masks from a given generator; the identity if no generator is set.

    One random byte decides each element, so the rate is rounded to a multiple of 1/256 and the scale is exact
    for the rounded rate. This takes less than half the time of `nn.Dropout`, which dominates small steps on a
    CPU.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropped_bytes = round(rate * 256)
        self.generator: np.random.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.dropped_bytes or self.generator is None:
            return x
        if x.is_cuda:
            return F.dropout(x, self.dropped_bytes / 256)
        bits = torch.frombuffer(bytearray(self.generator.bytes(x.numel())), dtype=torch.uint8)
        scale = bits.ge(self.dropped_bytes).to(x.dtype).mul_(256 / (256 - self.dropped_bytes))
        return x * scale.view(x.shape)


class UserInput(nn.Module):
    """Input vector of a user: p_u, or p_u + Σ w_j y_j over the items j of the history, w_j = |history|^-1/2.

    The second form is the user vector of SVD++ (Koren 2008, equation 15).
    """

    def __init__(self, config: NCFConfig, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.n_users, width)
        self.history = nn.Embedding(config.n_items, width) if config.history else None

    def forward(self, users: Tensor, history: History | None) -> Tensor:
        """Vectors of users (B,): (B, width)."""
        vectors = self.embedding(users)
        if self.history is None or history is None:
            return vectors
        return vectors + pooled_rows(self.history, history)


class GMF(nn.Module):
    """Generalised matrix factorisation: h · (p_u ⊙ q_i) (He et al. 2017, equations 8 and 9)."""

    def __init__(self, config: NCFConfig) -> None:
        super().__init__()
        self.user_input = UserInput(config, config.factor_num)
        self.item_embedding = nn.Embedding(config.n_items, config.factor_num)
        self.output = nn.Parameter(torch.ones(config.factor_num))
        self.dropout = Dropout(config.dropout)

    def user_features(self, users: Tensor, history: History | None) -> Tensor:
        return self.features_of_input(self.user_input(users, history))

    def features_of_input(self, vectors: Tensor) -> Tensor:
        """Features of users from their input vectors (..., D)."""
        return self.dropout(vectors * self.output)

    def item_features(self, items: Tensor) -> Tensor:
        return self.item_embedding(items)

    def catalogue_features(self) -> Tensor:
        return whole_table(self.item_embedding)

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        return (user * item).sum(-1)

    def cross(self, user: Tensor, item: Tensor) -> Tensor:
        return user @ item.T


class MLP(nn.Module):
    """Multi-layer perceptron over the concatenated embeddings (He et al. 2017, equation 10).

    The first layer, W [p; q] + b, is stored as W_u p + b and W_i q: the same function, but each half is
    computed once per user and once per item when a catalogue is scored.
    """

    def __init__(self, config: NCFConfig) -> None:
        super().__init__()
        width = config.mlp_embedding_dim
        self.user_input = UserInput(config, width)
        self.item_embedding = nn.Embedding(config.n_items, width)
        self.user_part = nn.Linear(width, width)
        self.item_part = nn.Linear(width, width, bias=False)
        hidden: list[nn.Module] = [nn.ReLU()]
        for _ in range(config.num_layers - 1):
            hidden += [Dropout(config.dropout), nn.Linear(width, width // 2), nn.ReLU()]
            width //= 2
        self.hidden = nn.Sequential(*hidden)
        self.output = nn.Linear(width, 1)
        self.dropout = Dropout(config.dropout)

    def user_features(self, users: Tensor, history: History | None) -> Tensor:
        return self.features_of_input(self.user_input(users, history))

    def features_of_input(self, vectors: Tensor) -> Tensor:
        """Features of users from their input vectors (..., D)."""
        return self.user_part(self.dropout(vectors))

    def item_features(self, items: Tensor) -> Tensor:
        return self.item_part(self.dropout(self.item_embedding(items)))

    def catalogue_features(self) -> Tensor:
        return self.item_part(self.dropout(whole_table(self.item_embedding)))

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        return self.output(self.hidden(user + item)).squeeze(-1)

    def cross(self, user: Tensor, item: Tensor) -> Tensor:
        bytes_per_item = max(1, user.shape[0] * user.shape[1] * user.element_size())
        step = max(1, CROSS_CHUNK_BYTES // bytes_per_item)
        return torch.cat([self.pairs(user.unsqueeze(1), chunk) for chunk in item.split(step)], dim=1)


Tower = GMF | MLP
