"""Neural Collaborative Filtering: GMF, MLP and NeuMF (He et al. 2017, https://arxiv.org/abs/1708.05031).

Shapes below: B users or pairs, N items beside each user, K items shared by all users, F features.

Every tower turns users and items into features once each (`user_features`, `item_features`) and combines them
in one of two ways, both returning logits:

* `pairs`:  (B, ..., F) with (B, ..., F), broadcast, to (B, ...): training on pairs;
* `cross`:  (B, F) with (K, F) to (B, K): a catalogue scored with each user and item computed once.

With `history`, a user's input vector also pools what the user has taken: the framework's "neighbor-based"
input (section 3.1). It is for training; `folded` then writes each user's whole vector into the embedding
table, so that what is served is plain NCF.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- the name that PyTorch's own documentation gives it
from torch import Tensor, nn

from ml.settings.hyperparameters import Architecture

CROSS_CHUNK_BYTES = 32 * 2**20  # the largest hidden layer that scoring a catalogue holds at once
FOLD_BATCH = 4096  # users whose vectors are computed at once


@dataclass(frozen=True, kw_only=True)
class NCFConfig:
    """Sizes of a model; the defaults are the post's (factor_num 32, num_layers 3, dropout 0.3)."""

    n_users: int
    n_items: int
    architecture: Architecture = "neumf"
    factor_num: int = 32  # GMF's factors
    mlp_factor_num: int = 32  # width of the MLP's last hidden layer: "predictive factors", section 4.1
    num_layers: int = 3
    dropout: float = 0.3
    history: bool = False  # users' inputs pool their histories; false in everything that is served

    def __post_init__(self) -> None:
        if self.architecture not in get_args(Architecture):
            raise ValueError(
                f"architecture is {self.architecture!r}: one of {', '.join(get_args(Architecture))}"
            )
        for name in ("n_users", "n_items", "factor_num", "mlp_factor_num", "num_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: at least 1")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}: at least 0 and less than 1")

    def as_dict(self) -> dict[str, str | int | float]:
        """What `model.json` keeps, enough to build the model again."""
        return asdict(self)

    @property
    def mlp_embedding_dim(self) -> int:
        """Width of one MLP embedding: the tower halves from twice this down to `mlp_factor_num`."""
        return self.mlp_factor_num * 2 ** (self.num_layers - 1)


class Dropout(nn.Module):
    """Inverted dropout with masks from a generator that is handed in; a no-op until one is.

    A byte decides each element, so the rate is rounded to a multiple of 1/256 and the scale made exact: less
    than half the time of `nn.Dropout`, which is what dominates a small step on a CPU.
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
        bits = np.frombuffer(self.generator.bytes(x.numel()), dtype=np.uint8)
        kept = torch.from_numpy(bits >= self.dropped_bytes).view(x.shape)
        return x * kept * (256 / (256 - self.dropped_bytes))


@dataclass(frozen=True)
class History:
    """Items of B users, end to end: user b's start at `offsets[b]`."""

    items: Tensor  # (pairs,)
    offsets: Tensor  # (B,)
    weights: Tensor  # (pairs,), of each item in its user's pool


HistoryOf = Callable[[Tensor], History | None]  # users (B,) to their histories


class UserInput(nn.Module):
    """p_u, or p_u + Σ w_j y_j over the user's history j with w_j = |history|^-1/2.

    The second is the user vector of SVD++ (Koren 2008, equation 15).
    """

    def __init__(self, config: NCFConfig, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.n_users, width)
        self.history = nn.Embedding(config.n_items, width) if config.history else None

    def forward(self, users: Tensor, history: History | None) -> Tensor:
        vectors = self.embedding(users)
        if self.history is None or history is None:
            return vectors
        pooled = F.embedding_bag(
            history.items,
            self.history.weight,
            history.offsets,
            mode="sum",
            per_sample_weights=history.weights,
            sparse=self.history.sparse,
        )
        return vectors + pooled


class GMF(nn.Module):
    """Generalised matrix factorisation: h · (p_u ⊙ q_i) (He et al. 2017, equations 8 and 9)."""

    def __init__(self, config: NCFConfig) -> None:
        super().__init__()
        self.user_input = UserInput(config, config.factor_num)
        self.item_embedding = nn.Embedding(config.n_items, config.factor_num)
        self.output = nn.Parameter(torch.ones(config.factor_num))
        self.dropout = Dropout(config.dropout)

    def user_features(self, users: Tensor, history: History | None) -> Tensor:
        return self.dropout(self.user_input(users, history) * self.output)

    def item_features(self, items: Tensor) -> Tensor:
        return self.item_embedding(items)

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        return (user * item).sum(-1)

    def cross(self, user: Tensor, item: Tensor) -> Tensor:
        return user @ item.T


class MLP(nn.Module):
    """A perceptron over the concatenated embeddings (He et al. 2017, equation 10).

    The first layer of W [p; q] + b is kept as W_u p + b and W_i q: the same function, but each half is
    computed once a user and once an item when a catalogue is scored.
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
        return self.user_part(self.dropout(self.user_input(users, history)))

    def item_features(self, items: Tensor) -> Tensor:
        return self.item_part(self.dropout(self.item_embedding(items)))

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        return self.output(self.hidden(user + item)).squeeze(-1)

    def cross(self, user: Tensor, item: Tensor) -> Tensor:
        bytes_per_item = max(1, user.shape[0] * user.shape[1] * user.element_size())
        step = max(1, CROSS_CHUNK_BYTES // bytes_per_item)
        return torch.cat([self.pairs(user.unsqueeze(1), part) for part in item.split(step)], dim=1)


Tower = GMF | MLP
Features = tuple[Tensor, ...]  # one tensor a tower


class NCF(nn.Module):
    """GMF, MLP, or both fused as NeuMF; returns logits.

    NeuMF's last layer acts on [φ_GMF; φ_MLP] (He et al. 2017, equation 12), and a linear layer over a
    concatenation is the sum of two: each tower keeps its own half of h, and the logits add.
    """

    def __init__(self, config: NCFConfig) -> None:
        super().__init__()
        self.config = config
        self.gmf = GMF(config) if config.architecture in ("gmf", "neumf") else None
        self.mlp = MLP(config) if config.architecture in ("mlp", "neumf") else None

    @property
    def towers(self) -> list[Tower]:
        return [tower for tower in (self.gmf, self.mlp) if tower is not None]

    def initialise(self, rng: np.random.Generator, embedding_std: float = 0.01) -> None:
        """Gaussian embeddings (section 4.1, "Parameter Settings") and Glorot layers, all from `rng`."""
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=embedding_std, generator=generator)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @torch.no_grad()
    def fuse(self, parts: Sequence[tuple[NCF, float]]) -> None:
        """Start from separately trained models: their weights, each one's h scaled by its share.

        He et al. 2017, equation 13, for any number of parts. Several GMFs become one: their factors stand
        side by side, as a dot product of concatenations is the sum of dot products.
        """
        gmfs = [(part.gmf, share) for part, share in parts if part.gmf is not None]
        mlps = [(part.mlp, share) for part, share in parts if part.mlp is not None]
        if self.gmf is not None:
            self.gmf.output.copy_(torch.cat([gmf.output * share for gmf, share in gmfs]))
            for name, table in self.gmf.named_parameters():
                if name != "output":
                    table.copy_(torch.cat([gmf.get_parameter(name) for gmf, _ in gmfs], dim=1))
        for mlp, share in mlps:
            if self.mlp is None:
                raise ValueError("fuse: an MLP has no place in this model")
            self.mlp.load_state_dict(mlp.state_dict())
            self.mlp.output.weight.mul_(share)
            self.mlp.output.bias.mul_(share)

    def use(self, rng: np.random.Generator) -> None:
        """Draw dropout masks from `rng` from now on."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.generator = rng

    def user_features(self, users: Tensor, history: History | None = None) -> Features:
        """Features of users (...); a history goes with users (B,) and a model that was built for it."""
        return tuple(tower.user_features(users, history) for tower in self.towers)

    def item_features(self, items: Tensor) -> Features:
        """Features of items (...)."""
        return tuple(tower.item_features(items) for tower in self.towers)

    def pairs(self, user: Features, item: Features) -> Tensor:
        """Logits of features that broadcast against each other: (..., F) and (..., F) to (...)."""
        first, *rest = (t.pairs(u, i) for t, u, i in zip(self.towers, user, item, strict=True))
        return first + rest[0] if rest else first

    def cross(self, user: Features, item: Features) -> Tensor:
        """Logits of every user with every item: (B, F) and (K, F) to (B, K)."""
        first, *rest = (t.cross(u, i) for t, u, i in zip(self.towers, user, item, strict=True))
        return first + rest[0] if rest else first

    def forward(self, users: Tensor, items: Tensor, history: History | None = None) -> Tensor:
        """Logits of users (B,) with items (B,) or (B, N): (B,) or (B, N)."""
        user = self.user_features(users, history)
        if items.dim() > users.dim():
            user = tuple(features.unsqueeze(1) for features in user)
        return self.pairs(user, self.item_features(items))

    def score_catalogue(self, users: Tensor, history: History | None = None) -> Tensor:
        """Logits of users (B,) with all I items: (B, I)."""
        items = torch.arange(self.config.n_items, device=users.device)
        return self.cross(self.user_features(users, history), self.item_features(items))

    @torch.no_grad()
    def folded(self, history_of: HistoryOf) -> NCF:
        """The same function without history: each user's whole input vector becomes their embedding."""
        plain = NCF(replace(self.config, history=False))
        plain.load_state_dict(self.state_dict(), strict=False)
        for ours, theirs in zip(self.towers, plain.towers, strict=True):
            for users in torch.arange(self.config.n_users).split(FOLD_BATCH):
                theirs.user_input.embedding.weight[users] = ours.user_input(users, history_of(users))
        return plain.train(self.training)
