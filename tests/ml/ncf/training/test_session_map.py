"""The map of sessions: exact where user vectors are linear in the histories, selected on new users."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.model.ease import EASE, EASEConfig
from ml.ncf.model.ncf import NCF
from ml.ncf.model.session import Session, SessionMap
from ml.ncf.model.towers import NCFConfig
from ml.ncf.objectives.histories import HistoryWeights, full_histories
from ml.ncf.training.session_map import fit_session_map

N_USERS, N_ITEMS, N_FACTORS, HALF_LIFE = 300, 60, 6, 8.0


@pytest.fixture(scope="module")
def train() -> Interactions:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(N_USERS), 15)
    items = np.concatenate([rng.choice(N_ITEMS, 15, replace=False) for _ in range(N_USERS)])
    return Interactions.from_pairs(users, items, N_USERS, N_ITEMS, times=np.arange(len(users)))


@pytest.fixture(scope="module")
def validation(train: Interactions) -> EvaluationSet:
    rng = np.random.default_rng(1)
    items = [rng.permutation(np.setdiff1d(np.arange(N_ITEMS), train.of(user)))[0] for user in range(N_USERS)]
    held_out = Interactions.from_pairs(np.arange(N_USERS), np.array(items), N_USERS, N_ITEMS)
    return EvaluationSet.sampled(held_out, train.union(held_out), 20, rng)


def linear_model(train: Interactions, architecture: str) -> NCF:
    """A model whose user vectors are a linear map of the pooled item vectors."""
    model = NCF(
        NCFConfig(
            n_users=N_USERS,
            n_items=N_ITEMS,
            architecture=architecture,
            factor_num=N_FACTORS,
            mlp_factor_num=2,
            num_layers=2,
            dropout=0.0,
        )
    ).eval()
    history = full_histories(train, torch.arange(N_USERS), HistoryWeights(HALF_LIFE))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, generator=generator)
        for tower in model.towers:
            table = tower.item_embedding.weight
            pooled = torch.nn.functional.embedding_bag(
                history.items, table, history.offsets, mode="sum", per_sample_weights=history.weights
            )
            width = table.shape[1]
            tower.user_input.embedding.weight.copy_(pooled @ torch.randn(width, width, generator=generator))
    return model


@pytest.mark.parametrize("architecture", ["gmf", "neumf"])
def test_session_of_a_users_items_gives_the_trained_features(
    train: Interactions, validation: EvaluationSet, architecture: str
) -> None:
    model = linear_model(train, architecture)
    found = fit_session_map(
        model, train, validation, np.random.default_rng(0), half_lives=[HALF_LIFE], ridges=[1e-6]
    )
    assert found is not None
    assert len(found.maps) == len(model.towers)
    for user in (0, 7, 299):
        rows = slice(train.indptr[user], train.indptr[user + 1])
        items = train.indices[rows][np.argsort(-train.recency[rows])]
        session = Session(torch.from_numpy(items.astype(np.int64)), torch.ones(len(items)))
        features = model.session_features(session, found)
        for new, trained in zip(features, model.user_features(torch.tensor([user])), strict=True):
            assert torch.allclose(new, trained, atol=1e-3)


def best_unseen_items(model: NCF, train: Interactions) -> Interactions:
    """The item with the highest score of each user, newer than the training pairs."""
    scores = model.score_catalogue(torch.arange(N_USERS)).detach().numpy()
    scores[train.users, train.indices] = -np.inf
    newest = np.full(N_USERS, train.times.max() + 1)
    return Interactions.from_pairs(np.arange(N_USERS), scores.argmax(1), N_USERS, N_ITEMS, newest)


def test_half_life_and_ridge_are_selected_on_validation(train: Interactions) -> None:
    """The held-out items are the model's best ones, which a map without regularisation finds best."""
    model = linear_model(train, "gmf")
    held_out = best_unseen_items(model, train)
    validation = EvaluationSet.sampled(held_out, train.union(held_out), 20, np.random.default_rng(1))

    def fit(half_lives: list[float], ridges: list[float]) -> SessionMap:
        found = fit_session_map(
            model, train, validation, np.random.default_rng(0), half_lives=half_lives, ridges=ridges
        )
        assert found is not None
        return found

    for half_lives in ([HALF_LIFE, 0.1], [0.1, HALF_LIFE]):
        for ridges in ([1e12, 1e-6], [1e-6, 1e12]):
            found = fit(half_lives, ridges)
            assert found.half_life == HALF_LIFE
            assert torch.equal(found.maps[0], fit([HALF_LIFE], [1e-6]).maps[0])


def test_held_out_item_is_in_no_session_of_the_selection(train: Interactions) -> None:
    """A half-life of 0.1 items is the best for finding an item that is the newest of its session."""
    model = linear_model(train, "gmf")
    held_out = best_unseen_items(model, train)
    refitted_on = train.union(held_out)
    validation = EvaluationSet.sampled(held_out, refitted_on, 20, np.random.default_rng(1))
    for half_lives in ([HALF_LIFE, 0.1], [0.1, HALF_LIFE]):
        found = fit_session_map(
            model, refitted_on, validation, np.random.default_rng(0), half_lives=half_lives, ridges=[1e-6]
        )
        assert found is not None
        assert found.half_life == HALF_LIFE


def test_few_users_give_the_first_half_life_and_ridge(train: Interactions, validation: EvaluationSet) -> None:
    few = EvaluationSet(validation.users[:20], validation.items[:20])
    found = fit_session_map(
        linear_model(train, "gmf"), train, few, np.random.default_rng(0), half_lives=[32.0, 4.0]
    )
    assert found is not None
    assert found.half_life == 32.0


def test_family_without_towers_has_no_map(train: Interactions, validation: EvaluationSet) -> None:
    model = EASE(EASEConfig(n_users=N_USERS, n_items=N_ITEMS))
    assert fit_session_map(model, train, validation, np.random.default_rng(0)) is None
