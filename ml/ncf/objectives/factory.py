"""Factory of the objective of a training phase, from its hyperparameters."""

from __future__ import annotations

from ml.ncf.data.interactions import Interactions
from ml.ncf.data.sharding import ProcessRank
from ml.ncf.model.base import RankingModel
from ml.ncf.objectives.base import Objective
from ml.ncf.objectives.catalogue import CatalogueSettings, FullCatalogueObjective, SampledCatalogueObjective
from ml.ncf.objectives.pointwise import PointwiseObjective
from ml.settings.hyperparameters import Hyperparameters

MAX_FULL_CATALOGUE_ITEMS = 20_000  # with coverage auto: the logits of a step are batch size x items


def objective_of(
    model: RankingModel, settings: Hyperparameters, train: Interactions, rank: ProcessRank
) -> Objective:
    """The objective that `settings.objective` and `settings.coverage` select.

    Coverage `auto` scores the whole catalogue if it is small and the model is a dot product: an MLP needs one
    forward pass per pair.

    Raises:
        ml.ncf.data.interactions.DataError: objective bce, and no user has an unseen item.
    """
    if settings.objective == "bce":
        return PointwiseObjective(train, settings.batch_size, settings.n_negatives, rank)
    catalogue = CatalogueSettings(
        batch_size=settings.batch_size,
        loss="softmax" if settings.objective == "softmax" else "bce",
        n_negatives=settings.n_negatives,
        n_shared=settings.n_shared_negatives,
        event_weights=settings.event_weights,
        history_dropout=settings.history_dropout if settings.history else None,
    )
    is_cheap = model.is_dot_product and train.n_items <= MAX_FULL_CATALOGUE_ITEMS
    if settings.coverage == "whole" or (settings.coverage == "auto" and is_cheap):
        return FullCatalogueObjective(train, catalogue, rank)
    return SampledCatalogueObjective(train, catalogue, rank)
