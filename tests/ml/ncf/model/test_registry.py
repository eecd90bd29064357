from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from ml.ncf.model import registry
from ml.settings.hyperparameters import Architecture, Hyperparameters


def test_every_architecture_belongs_to_one_family() -> None:
    registered = [name for family in registry.FAMILIES for name in family.architectures]
    assert sorted(registered) == sorted(get_args(Architecture))


@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_model_is_rebuilt_from_its_configuration_and_state(architecture: str) -> None:
    has_parts = architecture == "neumf-recent"
    settings = Hyperparameters(architecture=architecture, pretrain=has_parts, refit=has_parts)
    model = registry.family_of(architecture).from_settings(architecture, settings, 5, 7)
    model.initialise(np.random.default_rng(0), settings)
    rebuilt = registry.build(model.family, model.config.as_dict())
    rebuilt.load_state_dict(model.state_dict())
    users = torch.arange(5)
    assert torch.equal(rebuilt.eval().score_catalogue(users), model.eval().score_catalogue(users))


def test_unknown_family_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="model family 'svd' is unknown; known are ncf, ncf-recent, ease"):
        registry.build("svd", {})


def test_unknown_architecture_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="architecture is 'svd': one of ease, gmf, mlp, neumf, neumf-recent"):
        registry.family_of("svd")
