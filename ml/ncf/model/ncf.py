"""Neural Collaborative Filtering: GMF, MLP and NeuMF (He et al. 2017, https://arxiv.org/abs/1708.05031).

With `history`, the input vector of a user also pools the items that the user has interacted with ("neighbor-
based" input, section 3.1). This is used in training only: `folded` writes the complete input vector of each
user into the embedding table, so that the served model is plain NCF.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ml.ncf.model.base import Features, History, HistoryOf, RankingModel
from ml.ncf.model.towers import ARCHITECTURES, GMF, MLP, Dropout, NCFConfig, Tower

if TYPE_CHECKING:
    from ml.ncf.model.session import Session, SessionMap
    from ml.settings.hyperparameters import Hyperparameters

FOLD_BATCH = 4096  # users per batch of input vectors


class NCF(RankingModel):
    """GMF, MLP, or both fused as NeuMF.

    NeuMF's last layer acts on [φ_GMF; φ_MLP] (He et al. 2017, equation 12). A linear layer over a
    concatenation is the sum of two linear layers, so each tower stores its half of h, and the logits are
    added. The features are one tensor per tower.
    """

    family: ClassVar[str] = "ncf"
    architectures: ClassVar[tuple[str, ...]] = ARCHITECTURES

    config: NCFConfig

    def __init__(self, config: NCFConfig) -> None:
        super().__init__()
        self.config = config
        self.gmf = GMF(config) if config.architecture in ("gmf", "neumf") else None
        self.mlp = MLP(config) if config.architecture in ("mlp", "neumf") else None

    @classmethod
    def from_settings(cls, architecture: str, settings: Hyperparameters, n_users: int, n_items: int) -> NCF:
        return cls(
            NCFConfig(
                n_users=n_users,
                n_items=n_items,
                architecture=architecture,
                factor_num=settings.factor_num,
                mlp_factor_num=settings.mlp_factor_num,
                num_layers=settings.num_layers,
                dropout=settings.dropout,
                history=settings.history,
            )
        )

    @property
    def towers(self) -> list[Tower]:
        return [tower for tower in (self.gmf, self.mlp) if tower is not None]

    @property
    def uses_history(self) -> bool:
        return self.config.history

    @property
    def is_dot_product(self) -> bool:
        return self.mlp is None

    def initialise(self, rng: np.random.Generator, settings: Hyperparameters) -> None:
        """Gaussian embeddings (section 4.1, "Parameter Settings") and Glorot-uniform layers.

        GMF's output weights start at one; `settings.learn_output` decides whether they are trained.
        """
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=settings.embedding_std, generator=generator)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.gmf is not None:
            self.gmf.output.requires_grad_(settings.learn_output)

    @classmethod
    @torch.no_grad()
    def fused(cls, parts: Sequence[tuple[RankingModel, float]], settings: Hyperparameters) -> NCF:
        """The weights of trained parts, with each part's h scaled by its blend weight.

        He et al. 2017, equation 13, for any number of GMFs and at most one MLP. Several GMFs become one:
        their factors are concatenated, since a dot product of concatenations is the sum of dot products. A
        tower that no part has is not built.

        Raises:
            ValueError: there is no part, one is not an NCF model, or two are MLPs.
        """
        towers = [(part, weight) for part, weight in parts if isinstance(part, NCF)]
        if not towers or len(towers) < len(parts):
            raise ValueError("fused: every part must be an NCF model, and there must be one")
        gmfs = [(part.gmf, weight) for part, weight in towers if part.gmf is not None]
        mlps = [(part, weight) for part, weight in towers if part.mlp is not None]
        if len(mlps) > 1:
            raise ValueError("fused: two parts are MLPs")
        sizes = (mlps[0][0] if mlps else towers[0][0]).config
        model = cls(
            replace(
                sizes,
                architecture="gmf" if not mlps else "neumf" if gmfs else "mlp",
                factor_num=sum(len(gmf.output) for gmf, _ in gmfs) or sizes.factor_num,
                dropout=settings.dropout,
                history=False,
            )
        )
        if model.gmf is not None:
            model.gmf.output.requires_grad_(settings.learn_output)
            model.gmf.output.copy_(torch.cat([gmf.output * weight for gmf, weight in gmfs]))
            for name, table in model.gmf.named_parameters():
                if name != "output":
                    table.copy_(torch.cat([gmf.get_parameter(name) for gmf, _ in gmfs], dim=1))
        if model.mlp is not None:
            part, weight = mlps[0]
            model.mlp.load_state_dict(part.get_submodule("mlp").state_dict())
            model.mlp.output.weight.mul_(weight)
            model.mlp.output.bias.mul_(weight)
        return model

    def use_dropout_generator(self, rng: np.random.Generator) -> None:
        for module in self.modules():
            if isinstance(module, Dropout):
                module.generator = rng

    def user_tables(self) -> list[nn.Embedding]:
        return [tower.user_input.embedding for tower in self.towers]

    def user_features(self, users: Tensor, history: History | None = None) -> Features:
        """Features of users (...); a history needs users (B,) and a model built with `history`."""
        return tuple(tower.user_features(users, history) for tower in self.towers)

    def session_features(self, session: Session, session_map: SessionMap | None) -> Features | None:
        if session_map is None:
            return None
        kept, weights = session.pooling(session_map.half_life)
        features = []
        for tower, matrix in zip(self.towers, session_map.maps, strict=True):
            vector = (weights @ tower.item_embedding(session.items)) @ matrix
            if session.user is not None:
                vector = vector + kept * tower.user_input.embedding(torch.tensor(session.user))
            features.append(tower.features_of_input(vector.unsqueeze(0)))
        return tuple(features)

    def item_features(self, items: Tensor) -> Features:
        return tuple(tower.item_features(items) for tower in self.towers)

    def pairs(self, user: Features, item: Features) -> Tensor:
        first, *rest = (t.pairs(u, i) for t, u, i in zip(self.towers, user, item, strict=True))
        return first + rest[0] if rest else first

    def cross(self, user: Features, item: Features) -> Tensor:
        first, *rest = (t.cross(u, i) for t, u, i in zip(self.towers, user, item, strict=True))
        return first + rest[0] if rest else first

    def catalogue_features(self) -> Features:
        return tuple(tower.catalogue_features() for tower in self.towers)

    def item_vectors(self) -> Tensor | None:
        return None if self.gmf is None else self.gmf.item_embedding.weight

    def query(self, features: Features) -> Tensor | None:
        return None if self.gmf is None else features[0]

    @torch.no_grad()
    def folded(self, history_of: HistoryOf) -> NCF:
        """Equivalent model without history: the embedding of each user is the complete input vector."""
        plain = NCF(replace(self.config, history=False))
        plain.load_state_dict(self.state_dict(), strict=False)
        for source, target in zip(self.towers, plain.towers, strict=True):
            for users in torch.arange(self.config.n_users).split(FOLD_BATCH):
                target.user_input.embedding.weight[users] = source.user_input(users, history_of(users))
        return plain.train(self.training)
