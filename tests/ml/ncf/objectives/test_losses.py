from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- the name that PyTorch's own documentation gives it

from ml.ncf.objectives import losses

ROWS = torch.tensor([0, 0, 1])
ITEMS = torch.tensor([1, 3, 0])
LOGITS = torch.tensor([[0.5, -1.0, 2.0, 0.0], [1.0, 0.3, -0.2, 0.7]])
NEGATIVES_OF_ROWS = ([0, 2], [1, 2, 3])
POSITIVE = LOGITS[ROWS, ITEMS]
MASKED = LOGITS.index_put((ROWS, ITEMS), torch.tensor(-torch.inf))


def test_pointwise_bce_equals_binary_cross_entropy_of_positives_and_negatives() -> None:
    negative = torch.tensor([[0.1, -2.0], [0.4, 0.0], [1.0, 3.0]])
    logits = torch.cat([POSITIVE, negative.flatten()])
    labels = torch.cat([torch.ones(3), torch.zeros(6)])
    expected = F.binary_cross_entropy_with_logits(logits, labels)
    assert losses.pointwise_bce(POSITIVE, negative).item() == pytest.approx(expected.item(), rel=1e-6)


def test_catalogue_bce_equals_the_expected_loss_of_sampled_negatives() -> None:
    n = 3
    per_row = [2, 1]
    unseen = sum(
        n * per_row[row] * F.softplus(LOGITS[row, items]).mean()
        for row, items in enumerate(NEGATIVES_OF_ROWS)
    )
    expected = (F.softplus(-POSITIVE).sum() + unseen) / (3 * (1 + n))
    assert losses.catalogue_bce(LOGITS, ROWS, ITEMS, n).item() == pytest.approx(expected.item(), rel=1e-6)


def test_catalogue_softmax_equals_the_cross_entropy_of_each_positive() -> None:
    expected = F.cross_entropy(LOGITS[ROWS], ITEMS)
    assert losses.catalogue_softmax(LOGITS, ROWS, ITEMS).item() == pytest.approx(expected.item(), rel=1e-6)


def test_sampled_bce_of_the_whole_catalogue_equals_catalogue_bce() -> None:
    sampled = losses.sampled_bce(POSITIVE, ROWS, MASKED, torch.ones(4), n_negatives=3, n_items=4)
    assert sampled.item() == pytest.approx(losses.catalogue_bce(LOGITS, ROWS, ITEMS, 3).item(), rel=1e-6)


def test_sampled_softmax_of_the_whole_catalogue_excludes_the_other_positives() -> None:
    expected = [
        -torch.log_softmax(LOGITS[row, [item, *NEGATIVES_OF_ROWS[row]]], dim=0)[0]
        for row, item in zip(ROWS.tolist(), ITEMS.tolist(), strict=True)
    ]
    sampled = losses.sampled_softmax(POSITIVE, ROWS, MASKED, torch.ones(4))
    assert sampled.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-6)


WEIGHTS = torch.tensor([2.0, 0.25, 0.75])


def test_weight_of_a_positive_multiplies_its_loss() -> None:
    each = F.cross_entropy(LOGITS[ROWS], ITEMS, reduction="none")
    softmax = losses.catalogue_softmax(LOGITS, ROWS, ITEMS, WEIGHTS)
    assert softmax.item() == pytest.approx((each * WEIGHTS).mean().item(), rel=1e-6)
    added = (F.softplus(-POSITIVE) * (WEIGHTS - 1)).sum() / (3 * (1 + 3))
    expected = losses.catalogue_bce(LOGITS, ROWS, ITEMS, 3) + added
    bce = losses.catalogue_bce(LOGITS, ROWS, ITEMS, 3, WEIGHTS)
    assert bce.item() == pytest.approx(expected.item(), rel=1e-6)
    options = {"n_negatives": 3, "n_items": 4}
    sampled = losses.sampled_bce(POSITIVE, ROWS, MASKED, torch.ones(4), **options, weights=WEIGHTS)
    assert sampled.item() == pytest.approx(bce.item(), rel=1e-6)
    one = torch.tensor([0.0, 0.0, 3.0])
    alone = losses.sampled_softmax(POSITIVE, ROWS, MASKED, torch.ones(4), one)
    row = losses.sampled_softmax(POSITIVE[2:], torch.tensor([0]), MASKED[1:], torch.ones(4))
    assert alone.item() == pytest.approx(row.item(), rel=1e-6)


def test_log_q_correction_makes_the_sampled_sum_unbiased() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, generator=generator)
    popularity = torch.rand(50, generator=generator) + 0.1
    probability = popularity / popularity.sum()
    estimates = []
    for _ in range(4000):
        sample = torch.multinomial(probability, 10, replacement=True, generator=generator)
        estimates.append((logits[sample] - (10 * probability[sample]).log()).exp().sum())
    assert torch.stack(estimates).mean().item() == pytest.approx(logits.exp().sum().item(), rel=0.03)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_gradients_of_the_losses_over_a_catalogue_equal_those_of_finite_differences(
    weights: torch.Tensor | None,
) -> None:
    exact = None if weights is None else weights.double()
    logits = LOGITS.double().requires_grad_()
    for loss in (
        lambda found: losses.catalogue_softmax(found, ROWS, ITEMS, exact),
        lambda found: losses.catalogue_bce(found, ROWS, ITEMS, 3, exact),
    ):
        (gradient,) = torch.autograd.grad(2 * loss(logits), logits)
        for place in range(logits.numel()):
            step = torch.zeros(logits.numel(), dtype=torch.float64)
            step[place] = 1e-4
            change = (loss(logits + step.view_as(logits)) - loss(logits - step.view_as(logits))).item()
            assert gradient.flatten()[place].item() == pytest.approx(change / 1e-4, abs=1e-6)
