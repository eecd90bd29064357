from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- the name that PyTorch's own documentation gives it
from torch import nn

from ml.ncf.model.base import History
from ml.ncf.model.pooling import pooled_rows, whole_table

# Three users; the second has no items, and item 4 occurs twice.
HISTORY = History(
    torch.tensor([4, 1, 4, 0, 2]), torch.tensor([0, 2, 2]), torch.tensor([0.5, 1.0, 2.0, 0.25, 1.0])
)


def table(*, sparse: bool = False) -> nn.Embedding:
    made = nn.Embedding(6, 3, sparse=sparse)
    with torch.no_grad():
        made.weight.copy_(torch.arange(18.0).view(6, 3).sin())
    return made


@pytest.mark.parametrize("sparse", [False, True])
def test_gradient_of_pooled_rows_equals_that_of_the_weighted_sum(sparse: bool) -> None:
    of_module, plain = table(sparse=sparse), table()
    target = torch.tensor([[1.0, -2.0, 0.5], [3.0, 1.0, 1.0], [0.1, 0.2, -1.0]])
    (pooled_rows(of_module, HISTORY) * target).sum().backward()
    expected = F.embedding_bag(
        HISTORY.items, plain.weight, HISTORY.offsets, mode="sum", per_sample_weights=HISTORY.weights
    )
    (expected * target).sum().backward()
    assert torch.allclose(pooled_rows(of_module, HISTORY), expected)
    assert torch.allclose(of_module.weight.grad.to_dense(), plain.weight.grad)


def test_whole_table_has_a_sparse_gradient_only_if_the_table_is_sparse() -> None:
    for made in (table(), table(sparse=True)):
        whole_table(made).sum().backward()
        assert made.weight.grad.is_sparse is made.sparse
        assert torch.equal(made.weight.grad.to_dense(), torch.ones(6, 3))
