"""SASRec, GRU4Rec, NeuMF and LightGCN of RecBole 1.2.1: its models, data loaders and trainer.

RecBole trains a sequential model on the last position of every prefix of a history: one window per pair. Here
the loss is that of all positions of a window at once, as in the paper (Kang and McAuley 2018, section III.E),
with RecBole's layers: one window per `length` pairs. `tests/bench/recbole_checks.py` compares both losses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.data.interaction import Interaction
from recbole.model.general_recommender import lightgcn, neumf
from recbole.model.sequential_recommender import gru4rec, sasrec
from recbole.trainer import Trainer
from recbole.utils import init_seed
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 -- the name that PyTorch's own documentation gives it

from bench.peer_models import recbole_data
from bench.peer_models.peer import AfterEpoch, CatalogueScorer, OutOfTime, Rows, Scorer, Training, Values

MAX_EPOCHS = 300  # RecBole's default
PATIENCE = 10  # epochs; RecBole's default
SCORING_BATCH = 256


class _AllPositions:
    """Cross-entropy over the catalogue at all positions of a window, for a sequential model of RecBole."""

    keeps_positions = False

    def gather_indexes(self, output: Tensor, index: Tensor) -> Tensor:
        """The output of all positions in training, of the last one in scoring."""
        return output if self.keeps_positions else super().gather_indexes(output, index)  # type: ignore[misc]

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        items, lengths = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]  # (B, L), (B,)
        targets = torch.cat([items[:, 1:], torch.zeros_like(items[:, :1])], dim=1)
        targets.scatter_(1, lengths[:, None] - 1, interaction[self.POS_ITEM_ID][:, None])
        self.keeps_positions = True
        outputs = self.forward(items, lengths)  # (B, L, H)
        self.keeps_positions = False
        used = targets > 0
        return F.cross_entropy(outputs[used] @ self.item_embedding.weight.T, targets[used])


class SASRec(_AllPositions, sasrec.SASRec):
    """RecBole reads the defaults of the class of this name."""


class GRU4Rec(_AllPositions, gru4rec.GRU4Rec):
    """RecBole reads the defaults of the class of this name."""


class _ValidatedTrainer(Trainer):
    """RecBole's trainer, with the validation of this benchmark."""

    def __init__(self, config: Any, model: Any, after_epoch: AfterEpoch | None, scorer: Scorer) -> None:
        super().__init__(config, model)
        self._after_epoch = after_epoch or (lambda _: 0.0)  # RecBole does not validate then
        self._scorer = scorer

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> tuple[float, dict[str, float]]:
        del valid_data, show_progress
        self.model.eval()
        found = self._after_epoch(self._scorer)
        return found, {"ndcg": found}


class _RecBolePeer(ABC):
    """A model of RecBole."""

    model: ClassVar[Any]

    def train(self, rows: Rows, training: Training) -> Scorer:
        values, workspace = training.values, training.workspace
        self.write(workspace, rows, values)
        settings = {
            **self.settings(values),
            "seed": training.seed,
            "epochs": training.epochs or MAX_EPOCHS,
            "stopping_step": PATIENCE - 1,  # RecBole stops when more epochs than that were not better
        }
        config = recbole_data.config_of(self.model, workspace, settings)
        init_seed(training.seed, reproducibility=True)
        dataset, loader = recbole_data.training_loader(config)
        model = self.model(config, dataset)
        scorer = self.scorer(model, dataset, rows, values)
        trainer = _ValidatedTrainer(config, model, training.after_epoch, scorer)
        with suppress(OutOfTime):
            trainer.fit(loader, loader if training.after_epoch else None, saved=False, verbose=False)
        model.eval()
        return scorer

    def write(self, workspace: Path, rows: Rows, values: Values) -> None:
        """Write the atomic files."""
        del values
        recbole_data.write_pairs(workspace, rows)

    def settings(self, values: Values) -> dict[str, Any]:
        """RecBole's names of the values."""
        return dict(values)

    @abstractmethod
    def scorer(self, model: Any, dataset: Any, rows: Rows, values: Values) -> Scorer:
        """Scores of the model in its present state."""


def _for_all_items(
    model: Any, interaction: Interaction, item_numbers: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Scores for the items of the run: (B, I)."""
    with torch.no_grad():
        scores = model.full_sort_predict(interaction).view(len(interaction), -1)
    return np.where(item_numbers > 0, scores.numpy()[:, item_numbers], -np.inf).astype(np.float32)


class _Sequential(_RecBolePeer):
    def write(self, workspace: Path, rows: Rows, values: Values) -> None:
        recbole_data.write_windows(workspace, rows, values["length"])

    def settings(self, values: Values) -> dict[str, Any]:
        renamed = {key: value for key, value in values.items() if key not in ("length", "positions")}
        return renamed | {
            "MAX_ITEM_LIST_LENGTH": values["length"],
            "train_batch_size": max(1, values["positions"] // values["length"]),  # windows
            "load_col": {"inter": ["user_id", recbole_data.SEQUENCE, "item_id"]},
            "alias_of_item_id": [recbole_data.SEQUENCE],
            "train_neg_sample_args": None,
        }

    def scorer(self, model: Any, dataset: Any, rows: Rows, values: Values) -> Scorer:
        numbers = recbole_data.numbers_of(dataset, "item_id", rows.n_items)
        sequences, counts = recbole_data.last_items(rows, numbers, values["length"])

        def catalogue(users: NDArray[np.int64]) -> NDArray[np.float32]:
            parts = [
                Interaction({model.ITEM_SEQ: sequences[part], model.ITEM_SEQ_LEN: counts[part]})
                for part in torch.from_numpy(users).split(SCORING_BATCH)
            ]
            return np.concatenate([_for_all_items(model, part, numbers) for part in parts])

        return CatalogueScorer(catalogue)


class RecBoleSASRec(_Sequential):
    """Self-attention over the newest items (Kang and McAuley 2018)."""

    model = SASRec


class RecBoleGRU4Rec(_Sequential):
    """Recurrent network over the newest items (Tan et al. 2016)."""

    model = GRU4Rec


class RecBoleLightGCN(_RecBolePeer):
    """Embeddings averaged over the graph of users and items, with the BPR loss (He et al. 2020)."""

    model = lightgcn.LightGCN

    def scorer(self, model: Any, dataset: Any, rows: Rows, values: Values) -> Scorer:
        del values
        of_user = recbole_data.numbers_of(dataset, "user_id", rows.n_users)
        of_item = recbole_data.numbers_of(dataset, "item_id", rows.n_items)

        def catalogue(users: NDArray[np.int64]) -> NDArray[np.float32]:
            interaction = Interaction({model.USER_ID: torch.from_numpy(of_user[users])})
            return _for_all_items(model, interaction, of_item)

        return CatalogueScorer(catalogue)


class RecBoleNeuMF(_RecBolePeer):
    """Fused GMF and MLP without pretraining (He et al. 2017)."""

    model = neumf.NeuMF

    def settings(self, values: Values) -> dict[str, Any]:
        renamed = {key: value for key, value in values.items() if key != "negatives"}
        negatives = {"distribution": "uniform", "sample_num": values["negatives"], "alpha": 1.0}
        return renamed | {"train_neg_sample_args": {**negatives, "dynamic": False, "candidate_num": 0}}

    def scorer(self, model: Any, dataset: Any, rows: Rows, values: Values) -> Scorer:
        del values
        of_user = recbole_data.numbers_of(dataset, "user_id", rows.n_users)
        of_item = recbole_data.numbers_of(dataset, "item_id", rows.n_items)
        return _PairScorer(model, of_user, of_item)


class _PairScorer:
    """Logits of a model that scores pairs; RecBole's `predict` has a sigmoid, whose ties would count."""

    def __init__(self, model: Any, of_user: NDArray[np.int64], of_item: NDArray[np.int64]) -> None:
        self._model = model
        self._of_user = of_user
        self._of_item = of_item

    def ranked(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of users (B,) for their items (B, K): (B, K)."""
        parts = range(0, len(users), SCORING_BATCH)
        return np.concatenate(
            [self._scores(users[at:][:SCORING_BATCH], items[at:][:SCORING_BATCH]) for at in parts]
        )

    def catalogue(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of users (B,) for all items: (B, I)."""
        return self.ranked(users, np.tile(np.arange(len(self._of_item)), (len(users), 1)))

    def _scores(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32]:
        number = self._of_item[items]
        with torch.no_grad():
            user = torch.from_numpy(np.repeat(self._of_user[users], items.shape[1]))
            scores = self._model.forward(user, torch.from_numpy(number.ravel())).numpy()
        return np.where(number > 0, scores.reshape(items.shape), -np.inf).astype(np.float32)
