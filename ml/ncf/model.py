"""Neural Collaborative Filtering: GMF, MLP and NeuMF (He et al. 2017, https://arxiv.org/abs/1708.05031).

Shapes below: B users or pairs, N items beside each user, K items shared by all users, F features.

Every tower turns users and items into features once each (`user_features`, `item_features`) and
combines them in one of two ways, both returning logits:

* `pairs`:  (B, ..., F) with (B, ..., F), broadcast, to (B, ...): training on pairs;
* `cross`:  (B, F) with (K, F) to (B, K): a catalogue scored with each user and item computed once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

Architecture = Literal["gmf", "mlp", "neumf"]

CROSS_CHUNK_BYTES = 32 * 2**20  # the largest hidden layer that scoring a catalogue holds at once


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

    def __post_init__(self) -> None:
        if self.architecture not in get_args(Architecture):
            raise ValueError(
                f"architecture {self.architecture!r}: one of {', '.join(get_args(Architecture))}"
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


class GMF(nn.Module):
    """Generalised matrix factorisation: h · (p_u ⊙ q_i) (He et al. 2017, equations 8 and 9)."""

    def __init__(self, config: NCFConfig) -> None:
        super().__init__()
        self.user_embedding = nn.Embedding(config.n_users, config.factor_num)
        self.item_embedding = nn.Embedding(config.n_items, config.factor_num)
        self.output = nn.Parameter(torch.ones(config.factor_num))
        self.dropout = nn.Dropout(config.dropout)

    def user_features(self, users: Tensor) -> Tensor:
        return self.dropout(self.user_embedding(users) * self.output)

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
        self.user_embedding = nn.Embedding(config.n_users, width)
        self.item_embedding = nn.Embedding(config.n_items, width)
        self.user_part = nn.Linear(width, width)
        self.item_part = nn.Linear(width, width, bias=False)
        hidden: list[nn.Module] = [nn.ReLU()]
        for _ in range(config.num_layers - 1):
            hidden += [nn.Dropout(config.dropout), nn.Linear(width, width // 2), nn.ReLU()]
            width //= 2
        self.hidden = nn.Sequential(*hidden)
        self.output = nn.Linear(width, 1)
        self.dropout = nn.Dropout(config.dropout)

    def user_features(self, users: Tensor) -> Tensor:
        return self.user_part(self.dropout(self.user_embedding(users)))

    def item_features(self, items: Tensor) -> Tensor:
        return self.item_part(self.dropout(self.item_embedding(items)))

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        return self.output(self.hidden(user + item)).squeeze(-1)

    def cross(self, user: Tensor, item: Tensor) -> Tensor:
        bytes_per_item = max(1, user.shape[0] * user.shape[1] * user.element_size())
        step = max(1, CROSS_CHUNK_BYTES // bytes_per_item)
        chunks = [self.pairs(user.unsqueeze(1), part) for part in item.split(step)]
        return torch.cat(chunks, dim=1)


Tower = GMF | MLP
Towers = tuple[Tensor, ...]


class NCF(nn.Module):
    """GMF, MLP, or both fused as NeuMF; returns logits.

    NeuMF's last layer acts on [φ_GMF; φ_MLP] (He et al. 2017, equation 12), and a linear layer over a
    concatenation is the sum of two: each tower keeps its own half of h, and the logits add.
    """

    def __init__(self, config: NCFConfig) -> None:
        super().__init__()
        self.config = config
        towers: dict[str, nn.Module] = {}
        if config.architecture in ("gmf", "neumf"):
            towers["gmf"] = GMF(config)
        if config.architecture in ("mlp", "neumf"):
            towers["mlp"] = MLP(config)
        self.towers = nn.ModuleDict(towers)

    def initialise(self, generator: torch.Generator, embedding_std: float = 0.01) -> None:
        """Gaussian embeddings (section 4.1, "Parameter Settings") and Glorot layers, all from `generator`."""
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=embedding_std, generator=generator)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _towers(self) -> list[Tower]:
        return [cast(Tower, tower) for tower in self.towers.values()]

    def user_features(self, users: Tensor) -> Towers:
        """Features of users (...), one tensor (..., F) a tower."""
        return tuple(tower.user_features(users) for tower in self._towers())

    def item_features(self, items: Tensor) -> Towers:
        """Features of items (...), one tensor (..., F) a tower."""
        return tuple(tower.item_features(items) for tower in self._towers())

    def pairs(self, user: Towers, item: Towers) -> Tensor:
        """Logits of features that broadcast against each other: (..., F) and (..., F) to (...)."""
        parts = [t.pairs(u, i) for t, u, i in zip(self._towers(), user, item, strict=True)]
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def cross(self, user: Towers, item: Towers) -> Tensor:
        """Logits of every user with every item: (B, F) and (K, F) to (B, K)."""
        parts = [t.cross(u, i) for t, u, i in zip(self._towers(), user, item, strict=True)]
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits of users (B,) with items (B,) or (B, N): (B,) or (B, N)."""
        if items.dim() > users.dim():
            users = users.unsqueeze(-1)
        return self.pairs(self.user_features(users), self.item_features(items))

    def score_catalogue(self, users: Tensor) -> Tensor:
        """Logits of users (B,) with all I items: (B, I)."""
        items = torch.arange(self.config.n_items, device=users.device)
        return self.cross(self.user_features(users), self.item_features(items))
