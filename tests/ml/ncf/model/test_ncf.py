from __future__ import annotations

import numpy as np
import pytest
import torch

from ml.ncf.model.ncf import NCF
from ml.ncf.model.towers import ARCHITECTURES, NCFConfig
from ml.settings.hyperparameters import Hyperparameters


def built(architecture: str, **sizes: int) -> NCF:
    config = NCFConfig(
        n_users=7, n_items=11, architecture=architecture, factor_num=4, mlp_factor_num=2, **sizes
    )
    model = NCF(config)
    model.initialise(np.random.default_rng(0), Hyperparameters(embedding_std=1.0))
    return model.eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_catalogue_scores_equal_pair_scores(architecture: str) -> None:
    model = built(architecture)
    users = torch.arange(7)
    by_pair = model(users, torch.arange(11).expand(7, 11))
    assert torch.allclose(model.score_catalogue(users), by_pair, atol=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pair_score_does_not_depend_on_the_other_items(architecture: str) -> None:
    model = built(architecture)
    users, items = torch.tensor([3, 5]), torch.tensor([[1, 2, 10], [0, 4, 9]])
    assert torch.allclose(model(users, items)[:, 1], model(users, items[:, 1]), atol=1e-6)


def test_split_first_layer_equals_the_layer_over_the_concatenation() -> None:
    mlp = built("mlp").mlp
    user, item = mlp.user_input.embedding.weight[2], mlp.item_embedding.weight[5]
    weight = torch.cat([mlp.user_part.weight, mlp.item_part.weight], dim=1)
    whole = weight @ torch.cat([user, item]) + mlp.user_part.bias
    split = mlp.user_features(torch.tensor(2), None) + mlp.item_features(torch.tensor(5))
    assert torch.allclose(split, whole, atol=1e-6)


def test_neumf_equals_one_layer_over_both_towers() -> None:
    model = built("neumf")
    users, items = torch.tensor([1, 6]), torch.tensor([2, 3])
    gmf, mlp = model.gmf, model.mlp
    phi_gmf = gmf.user_input(users, None) * gmf.item_embedding(items)
    phi_mlp = mlp.hidden(mlp.user_features(users, None) + mlp.item_features(items))
    h = torch.cat([gmf.output, mlp.output.weight[0]])
    expected = torch.cat([phi_gmf, phi_mlp], dim=1) @ h + mlp.output.bias
    assert torch.allclose(model(users, items), expected, atol=1e-6)


def test_tower_halves_down_to_the_predictive_factors() -> None:
    mlp = built("mlp", num_layers=3).mlp
    widths = [
        mlp.user_part.in_features,
        *(layer.out_features for layer in mlp.hidden[2::3]),
        mlp.output.in_features,
    ]
    assert widths == [8, 4, 2, 2]


def test_equal_generators_give_equal_models() -> None:
    first, second = built("neumf"), built("neumf")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize(
    ("field", "value"),
    [("architecture", "svd"), ("factor_num", 0), ("dropout", 1.0), ("n_users", 0)],
)
def test_size_out_of_range_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        NCFConfig(**{"n_users": 1, "n_items": 1, field: value})
