from __future__ import annotations

import pytest
import torch
from torch import nn

from ml.ncf.model.ncf import NCF
from ml.ncf.model.towers import NCFConfig
from ml.ncf.training.optimizer import USER_ROW_FACTOR, Optimizers, RowWiseAdamW
from ml.settings.hyperparameters import Hyperparameters


def stepped(rows: list[int], weight_decay: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A table before and after one step with gradients of those rows."""
    table = nn.Embedding(5, 3, sparse=True)
    before = table.weight.detach().clone()
    optimizer = RowWiseAdamW([table.weight], lr=0.1, weight_decay=weight_decay)
    table(torch.tensor(rows)).sum().backward()
    optimizer.step()
    return before, table.weight.detach()


def test_only_rows_with_a_gradient_are_updated() -> None:
    before, after = stepped([1, 3, 3], weight_decay=0.5)
    assert torch.equal(before[[0, 2, 4]], after[[0, 2, 4]])
    assert not torch.isclose(before[[1, 3]], after[[1, 3]]).any()


def test_first_step_equals_the_learning_rate_for_any_gradient() -> None:
    before, after = stepped([1, 3, 3])
    assert torch.allclose(
        before - after, torch.tensor([0.0, 0.1, 0.0, 0.1, 0.0])[:, None].expand(5, 3), atol=1e-6
    )


def test_decay_is_decoupled_from_the_gradient() -> None:
    before, after = stepped([2], weight_decay=0.5)
    assert torch.allclose(after[2], before[2] * (1 - 0.1 * 0.5) - 0.1, atol=1e-6)


def test_one_column_is_updated_as_by_adamw() -> None:
    sparse, dense = nn.Embedding(4, 1, sparse=True), nn.Embedding(4, 1)
    dense.load_state_dict(sparse.state_dict())
    row_wise = RowWiseAdamW([sparse.weight], lr=0.1, weight_decay=0.2)
    reference = torch.optim.AdamW(dense.parameters(), lr=0.1, weight_decay=0.2)
    for scale in (1.0, -3.0, 0.5):
        for table, optimizer in ((sparse, row_wise), (dense, reference)):
            optimizer.zero_grad()
            (scale * table(torch.arange(4)).square()).sum().backward()
            optimizer.step()
    assert torch.allclose(sparse.weight, dense.weight, atol=1e-6)


def test_only_large_tables_are_updated_row_wise() -> None:
    model = NCF(NCFConfig(n_users=10, n_items=3, architecture="gmf"))
    Optimizers(model, Hyperparameters(), n_steps=10, row_wise_elements=100)
    assert model.gmf.user_input.embedding.sparse
    assert not model.gmf.item_embedding.sparse


def test_user_rows_use_the_scaled_learning_rate_with_a_catalogue_objective() -> None:
    settings = Hyperparameters(objective="softmax", lr=0.01, weight_decay=0.5)
    model = NCF(NCFConfig(n_users=10, n_items=3, architecture="gmf", dropout=0.0))
    optimizers = Optimizers(model, settings, n_steps=10)
    before = model.gmf.user_input.embedding.weight.detach().clone()
    model.score_catalogue(torch.tensor([4])).logsumexp(1).sum().backward()
    optimizers.step()
    after = model.gmf.user_input.embedding.weight.detach()
    others = torch.arange(10) != 4
    assert torch.equal(after[others], before[others])
    rate = settings.lr * USER_ROW_FACTOR
    moved = before[4] * (1 - rate * settings.weight_decay * USER_ROW_FACTOR) - after[4]
    assert moved.norm() == pytest.approx(rate * len(moved) ** 0.5, rel=1e-3)  # RMS of a first step: the rate
    assert not model.gmf.item_embedding.sparse


@pytest.mark.parametrize(("step", "fraction"), [(0, 0.04), (20, 1.0), (60, 0.5), (100, 0.0)])
def test_one_cycle_rises_from_one_twenty_fifth_and_falls_to_zero(step: int, fraction: float) -> None:
    model = NCF(NCFConfig(n_users=2, n_items=2, architecture="gmf"))
    optimizers = Optimizers(model, Hyperparameters(schedule="one-cycle", lr=0.1), n_steps=100)
    model(torch.tensor([0]), torch.tensor([0])).backward()
    for _ in range(step):
        optimizers.step()
    assert optimizers.rate == pytest.approx(0.1 * fraction, abs=1e-9)
