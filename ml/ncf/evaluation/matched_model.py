"""A model whose users and items are matched by id with those of a prepared run.

Indices differ between runs. The items of a user that is not in the model are ranked by the model's
popularity, as in serving. An item that is not in the model cannot be recommended and gets -inf.

Shapes: C held-out pairs, N negatives per pair, B users scored at once, I items of the run.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ml.ncf.data.interactions import DataError
from ml.ncf.data.prepared_run import PreparedRun
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.model.artifact import Artifact
from ml.ncf.model.finite import require_finite


class MatchedModel:
    """Scores of an artifact's model for the users and items of a run."""

    def __init__(self, artifact: Artifact, run: PreparedRun) -> None:
        """Match the ids.

        Raises:
            DataError: the artifact has no weights.
        """
        if artifact.model is None or artifact.data is None:
            raise DataError(f"model {artifact.version} has no weights")
        self._model = artifact.model
        self._users = torch.from_numpy(artifact.data.user_ids.find_all(run.user_ids))
        self._items = torch.from_numpy(artifact.data.item_ids.find_all(run.item_ids))
        self._popularity = torch.from_numpy(artifact.data.popularity).float()
        n_items = artifact.model.config.n_items
        self._has_same_items = np.array_equal(self._items.numpy(), np.arange(n_items))

    def scores(self, evaluation_set: EvaluationSet) -> Tensor:
        """Scores of an evaluation set of the run: (C, 1 + N).

        Raises:
            ml.ncf.model.finite.NotFiniteError: a score is not finite.
        """
        known, has_user, has_item = evaluation_set.renumbered(self._users, self._items)
        popularity = self._popularity[known.items]
        scores = torch.where(has_user[:, None], known.scores(self._model), popularity)
        return evaluation_set.masked(torch.where(has_item, scores, -torch.inf))

    def catalogue_scores(self, users: Tensor) -> Tensor:
        """Scores of users (B,) of the run for all its items: (B, I).

        Raises:
            ml.ncf.model.finite.NotFiniteError: a score is not finite.
        """
        found = self._users[users]
        with torch.no_grad():  # not inference mode: callers mask the scores in place
            scores = self._model.score_catalogue(found.clamp(min=0)).float()
        require_finite(scores, "scores")
        scores[found < 0] = self._popularity
        if self._has_same_items:
            return scores
        scores = scores[:, self._items.clamp(min=0)]
        scores[:, self._items < 0] = -torch.inf
        return scores
