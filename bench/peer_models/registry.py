"""The recommenders by name, and the values that their search chooses from.

They are imported when they are trained: the libraries are in another environment than the comparison. Of each
hyperparameter the first value is the library's default, or the usual one where it has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from bench.peer_models.peer import Peer

PRODUCT = "ours"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A recommender that can be compared.

    Attributes:
        title: in tables.
        module: module of this package.
        class_name: in the module.
        space: values of each hyperparameter; empty: nothing is tuned.
        is_external: whether it needs the environment of other projects' recommenders.
        needs_order: whether the pairs have to be in the order of time.
    """

    title: str
    module: str
    class_name: str
    space: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    is_external: bool = True
    needs_order: bool = False

    def load(self) -> Peer:
        """The recommender; imports its library."""
        peer: Peer = getattr(import_module(f"bench.peer_models.{self.module}"), self.class_name)()
        return peer


PEERS = {
    PRODUCT: Entry(title="**ours**", module="product", class_name="Product", is_external=False),
    "popularity": Entry(title="popularity", module="closed_form", class_name="Popularity", is_external=False),
    "ease": Entry(
        title="EASE",
        module="closed_form",
        class_name="ClosedFormEASE",
        is_external=False,
        space={"l2": [500.0, 100.0, 200.0, 1000.0, 50.0, 2000.0, 20.0]},
    ),
    "ials": Entry(
        title="iALS (implicit)",
        module="implicit_models",
        class_name="IALS",
        space={
            "factors": [100, 32, 64, 16],
            "regularization": [0.01, 0.1, 1.0, 10.0, 30.0, 100.0],
            "alpha": [1.0, 0.3, 3.0, 10.0, 30.0],
            "iterations": [15, 30],
        },
    ),
    "bpr": Entry(
        title="BPR (implicit)",
        module="implicit_models",
        class_name="BPR",
        space={
            "factors": [100, 32, 64],
            "learning_rate": [0.01, 0.03, 0.1],
            "regularization": [0.01, 0.003, 0.03, 0.1],
            "iterations": [100, 200, 400],
        },
    ),
    "sasrec": Entry(
        title="SASRec (RecBole)",
        module="recbole_models",
        class_name="RecBoleSASRec",
        needs_order=True,
        space={
            "hidden_dropout_prob": [0.5, 0.3, 0.2],
            "attn_dropout_prob": [0.5, 0.2],
            "learning_rate": [0.001, 0.002],
            "positions": [2048, 1024],  # per step
            "length": [50, 100, 200],
            "hidden_size": [64, 128],
        },
    ),
    "gru4rec": Entry(
        title="GRU4Rec (RecBole)",
        module="recbole_models",
        class_name="RecBoleGRU4Rec",
        needs_order=True,
        space={
            "dropout_prob": [0.3, 0.5, 0.1],
            "learning_rate": [0.001, 0.002, 0.004],
            "positions": [2048, 1024],  # per step
            "length": [50, 100, 200],
            "hidden_size": [128, 64],
        },
    ),
    "neumf": Entry(
        title="NeuMF (RecBole)",
        module="recbole_models",
        class_name="RecBoleNeuMF",
        space={
            "dropout_prob": [0.1, 0.3, 0.5],
            "learning_rate": [0.001, 0.0005, 0.002],
            "negatives": [1, 4],
            "weight_decay": [0.0, 1e-6, 1e-5, 1e-4],
            "mf_embedding_size": [64, 32, 16],
        },
    ),
    "lightgcn": Entry(
        title="LightGCN (RecBole)",
        module="recbole_models",
        class_name="RecBoleLightGCN",
        space={
            "n_layers": [2, 3, 1],
            "reg_weight": [1e-5, 1e-4, 1e-3, 1e-2],
            "learning_rate": [0.001, 0.003, 0.01, 0.03],
            "embedding_size": [64, 128],
        },
    ),
}
