"""NCF with an MLP over the recent items of a user.

logit(u, i) = base(u, i) + MLP(x(u, i)), where base is a trained NCF model with a GMF. The inputs x are the
base logit, how often the item is visited together with the user's last items (`co_visits`), the popularity of
the item in the whole training and at its end, the number of items of the user, and the time from earlier
items of the user to the last one: whether the last items are one visit. The MLP is trained on interactions
that the base model was not trained on (`ml.ncf.training.recent_mlp`). Its last layer starts at zero: it
learns what the base model leaves over, as in boosting (Friedman 2001, section 2).

Shapes: B users or pairs, K items, I items in the catalogue, R recent items of a user, N neighbours of an
item, G gaps in time, F inputs, H hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml.ncf.model.base import Features, History, HistoryOf, RankingModel, require_at_least_one
from ml.ncf.model.ncf import NCF
from ml.ncf.model.ranked import Ranked
from ml.ncf.model.recent_candidates import DECAYS, CoVisited, candidates_of
from ml.ncf.model.recent_statistics import RecentStatistics, log_count
from ml.ncf.model.towers import CROSS_CHUNK_BYTES, NCFConfig

if TYPE_CHECKING:
    from ml.ncf.model.session import Session, SessionMap
    from ml.settings.hyperparameters import Hyperparameters

N_INPUTS = len(DECAYS) + 4  # without those of gaps
FIRST_GAP = len(DECAYS) + 3  # place of the gaps among the inputs
N_RECENT = 20
N_NEIGHBOURS = 100
HIDDEN = (32, 16)


@dataclass(frozen=True, kw_only=True)
class RecentConfig(NCFConfig):
    """Sizes of the model; those of `NCFConfig` are the base model's.

    Raises:
        ValueError: a size is out of its range.
    """

    architecture: str = "gmf"
    n_recent: int = N_RECENT  # R
    n_neighbours: int = N_NEIGHBOURS  # N
    n_gaps: int = 0  # G; artifacts of earlier versions have none
    hidden: tuple[int, ...] = HIDDEN

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least_one(self, "n_recent", "n_neighbours")
        object.__setattr__(self, "hidden", tuple(self.hidden))  # model.json has a list

    @property
    def base(self) -> NCFConfig:
        return NCFConfig(**{each.name: getattr(self, each.name) for each in fields(NCFConfig)})


class RecentNCF(RankingModel):
    """A trained NCF model with a GMF, and an MLP over recent items.

    The features of a user are those of the base model, the recent items (..., R), and the count and
    the gaps (..., 1 + G).
    The features of an item are those of the base model, its index (..., 1) and its counts (..., 2).
    """

    family: ClassVar[str] = "ncf-recent"
    architectures: ClassVar[tuple[str, ...]] = ("neumf-recent",)

    config: RecentConfig
    neighbours: Tensor
    strengths: Tensor
    recent: Tensor
    item_counts: Tensor
    user_counts: Tensor
    gaps: Tensor
    mean_item: Tensor  # (D,), mean of the item vectors of the GMF
    input_mean: Tensor  # (F,)
    input_std: Tensor  # (F,)

    def __init__(self, config: RecentConfig) -> None:
        super().__init__()
        self.config = config
        self.base = NCF(config.base)
        if not self.base.is_dot_product:
            raise ValueError(f"architecture is {config.architecture!r}: the base model is a GMF")
        empty = RecentStatistics.empty(
            config.n_users, config.n_items, config.n_recent, config.n_neighbours, config.n_gaps
        )
        self._register(empty)
        self.register_buffer("mean_item", torch.zeros(config.factor_num))
        width = N_INPUTS + config.n_gaps
        self.register_buffer("input_mean", torch.zeros(width))
        self.register_buffer("input_std", torch.ones(width))
        layers: list[nn.Module] = []
        for size in config.hidden:
            layers += [nn.Linear(width, size), nn.ReLU()]
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    @classmethod
    def from_settings(
        cls, architecture: str, settings: Hyperparameters, n_users: int, n_items: int
    ) -> RecentNCF:
        del architecture
        factors = settings.factor_num + settings.pointwise_factor_num
        return cls(
            RecentConfig(n_users=n_users, n_items=n_items, factor_num=factors, dropout=settings.dropout)
        )

    @classmethod
    def of(cls, base: NCF, statistics: RecentStatistics) -> RecentNCF:
        """The model around a trained base model, whose logits it has until the MLP is trained."""
        config = RecentConfig(
            **base.config.as_dict(),
            n_recent=statistics.recent.shape[1],
            n_neighbours=statistics.neighbours.shape[1],
            n_gaps=statistics.gaps.shape[1],
        )
        model = cls(config)
        model.replace_base(base, statistics)
        return model

    @torch.no_grad()
    def replace_base(self, base: NCF, statistics: RecentStatistics) -> None:
        """Take another base model and statistics of the same sizes, and keep the MLP."""
        self.base = base
        self._register(statistics)
        if base.gmf is not None:
            self.mean_item = base.gmf.item_embedding.weight.mean(0)

    def _register(self, statistics: RecentStatistics) -> None:
        for name, tensor in vars(statistics).items():
            # The weights of earlier versions have no gaps.
            self.register_buffer(name, tensor, persistent=name != "gaps" or tensor.shape[1] > 0)

    def initialise(self, rng: np.random.Generator, settings: Hyperparameters) -> None:
        self.base.initialise(rng, settings)
        self.initialise_layers(rng)

    @torch.no_grad()
    def initialise_layers(self, rng: np.random.Generator) -> None:
        """Glorot-uniform layers; zeros in the last one, so that the logits are those of the base model."""
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight, generator=generator)
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.last_layer.weight)

    @property
    def last_layer(self) -> nn.Linear:
        layer = self.layers[-1]
        assert isinstance(layer, nn.Linear)  # noqa: S101 -- as it was built
        return layer

    def folded(self, history_of: HistoryOf) -> RankingModel:
        del history_of  # the base model is folded already
        return self

    # -- features -------------------------------------------------------------------------------

    def user_features(self, users: Tensor, history: History | None = None) -> Features:
        of_user = self.user_counts[users].unsqueeze(-1)
        if self.config.n_gaps:  # otherwise the file has none, and the buffer no storage
            of_user = torch.cat([of_user, self.gaps[users]], dim=-1)
        return (*self.base.user_features(users, history), self.recent[users].long(), of_user)

    def item_features(self, items: Tensor) -> Features:
        return (*self.base.item_features(items), items.long().unsqueeze(-1), self.item_counts[items.long()])

    def session_features(self, session: Session, session_map: SessionMap | None) -> Features | None:
        of_base = self.base.session_features(session, session_map)
        if of_base is None:
            return None
        newest, n_known = session.items.flip(0), session.n_known if session.user is not None else 0
        if session.user is not None:
            newest = torch.cat([newest, self.recent[session.user].long()])
        recent = torch.full((1, self.config.n_recent), -1)
        recent[0, : len(newest)] = newest[: self.config.n_recent]
        count = log_count(torch.tensor([[float(len(session.items) + n_known)]]))
        # The items of a session have no times: their gaps are those of an average sample.
        gaps = self.input_mean[FIRST_GAP : FIRST_GAP + self.config.n_gaps].unsqueeze(0)
        return (*of_base, recent, torch.cat([count, gaps], dim=-1))

    def item_vectors(self) -> Tensor | None:
        return self.base.item_vectors()

    def query(self, features: Features) -> Tensor | None:
        return self.base.query(features)

    # -- scoring --------------------------------------------------------------------------------

    def pairs(self, user: Features, item: Features) -> Tensor:
        base = self.base.pairs(user[:-2], item[:-2])
        recent, index = user[-2], item[-2].squeeze(-1)
        if index.dim() == 2:  # (B, 1, R) and (B, K)
            co_visits = self.co_visits(recent.squeeze(1), index)
        elif recent.dim() == 1 or len(recent) == 1:  # (R,) or (1, R), and (K,)
            co_visits = self.co_visits(recent.reshape(1, -1), index.unsqueeze(0)).squeeze(0)
        else:  # (B, R) and (B,)
            co_visits = self.co_visits(recent, index.unsqueeze(1)).squeeze(1)
        return base + self.correction(base, co_visits, user, item)

    def cross(self, user: Features, item: Features) -> Tensor:
        n_items = len(item[-2])
        step = max(1, CROSS_CHUNK_BYTES // (n_items * max(len(self.input_mean), *self.config.hidden) * 4))
        chunks = []
        for start in range(0, len(user[-2]), step):
            part = tuple(each[start : start + step] for each in user)
            base = self.base.cross(part[:-2], item[:-2])
            co_visits = self.co_visits(part[-2], item[-2].squeeze(-1).expand(len(base), -1))
            wide = tuple(each.unsqueeze(1) for each in part)
            chunks.append(base + self.correction(base, co_visits, wide, item))
        return torch.cat(chunks)

    def rescored(
        self, features: Features, found: Sequence[Ranked], excluded: Sequence[NDArray]
    ) -> list[Ranked]:
        co_visited = CoVisited.of(self.neighbours, self.strengths, features[-2])
        candidates = candidates_of(self, co_visited, features[0], found, excluded)
        co_visits = torch.from_numpy(candidates.co_visits)
        rows, items = torch.from_numpy(candidates.rows), torch.from_numpy(candidates.items)
        base = torch.from_numpy(candidates.products)
        relative = base - self.level(features)[rows]
        inputs = self.joined_inputs(relative, co_visits, features[-1][rows], self.item_counts[items])
        scaled = (inputs - self.input_mean) / self.input_std
        lists = []
        # User by user, in memory of its own: the rounding of a matrix product depends on the number of its
        # rows and on where they are.
        for start, end in pairwise(candidates.offsets.tolist()):
            logits = base[start:end] + self.layers(scaled[start:end].clone()).squeeze(-1)
            lists.append((candidates.items[start:end], logits.numpy()))
        return lists

    def correction(self, base: Tensor, co_visits: Tensor, user: Features, item: Features) -> Tensor:
        """What the MLP adds to the logits of the base model (...), whose co-visits are (..., P): (...)."""
        inputs = self.inputs(base, co_visits, user, item)
        return self.layers((inputs - self.input_mean) / self.input_std).squeeze(-1)

    def inputs(self, base: Tensor, co_visits: Tensor, user: Features, item: Features) -> Tensor:
        """Inputs of the MLP before they are scaled: (..., F)."""
        return self.joined_inputs(base - self.level(user), co_visits, user[-1], item[-1])

    def level(self, user: Features) -> Tensor:
        """Mean base logit over the catalogue, which differs from user to user: (...)."""
        return (user[0] * self.mean_item).sum(-1)

    @staticmethod
    def joined_inputs(
        relative: Tensor, co_visits: Tensor, user_counts: Tensor, item_counts: Tensor
    ) -> Tensor:
        """Inputs from base logits relative to the user's level (...), and the three others (..., n)."""
        shape = relative.shape
        parts = [
            torch.log1p(co_visits),
            item_counts.expand(*shape, 2),
            user_counts.expand(*shape, user_counts.shape[-1]),
            relative.unsqueeze(-1),
        ]
        return torch.cat([part.float() for part in parts], dim=-1)

    def co_visits(self, recent: Tensor, items: Tensor) -> Tensor:
        """Σ_r decay^r strength(recent_r, item), for each of `DECAYS`: (B, R) and (B, K) to (B, K, P)."""
        known = recent.clamp(min=0)
        neighbours = self.neighbours[known].flatten(1).long()  # (B, R N)
        strengths = self.strengths[known] * (recent >= 0).unsqueeze(-1)  # (B, R, N)
        ranked, _ = items.sort(dim=1)
        place = torch.searchsorted(ranked, neighbours).clamp(max=items.shape[1] - 1)
        found = ranked.gather(1, place) == neighbours
        first = torch.searchsorted(ranked, items.contiguous())  # a repeated item: its first place
        ages = torch.arange(recent.shape[1])
        pooled = []
        for decay in DECAYS:
            weighted = (strengths * (decay**ages).unsqueeze(-1)).flatten(1) * found
            sums = torch.zeros(items.shape, dtype=weighted.dtype).scatter_add_(1, place, weighted)
            pooled.append(sums.gather(1, first))
        return torch.stack(pooled, dim=-1)
