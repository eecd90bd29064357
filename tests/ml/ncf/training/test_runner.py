from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from ml.ncf.model.base import RankingModel
from ml.ncf.model.ease_factors import EASEFactors
from ml.ncf.model.finite import NotFiniteError
from ml.ncf.objectives.histories import full_histories
from ml.ncf.training.blending import best_blend_weights
from ml.ncf.training.loop import TrainingError
from ml.ncf.training.plan import training_plan, without_part
from ml.ncf.training.plan_run import parts_sentence
from ml.ncf.training.runner import run_plan
from ml.settings.hyperparameters import Hyperparameters
from tests.ml.ncf.training.small import N_USERS, SMALL, same, small_data, train, weights


@pytest.mark.parametrize(
    ("architecture", "objective", "coverage"),
    [
        ("gmf", "softmax", "whole"),
        ("gmf", "row-bce", "whole"),
        ("mlp", "softmax", "sampled"),
        ("mlp", "row-bce", "sampled"),
        ("neumf", "softmax", "sampled"),
        ("neumf", "bce", "auto"),
    ],
)
def test_every_objective_reduces_its_loss(architecture: str, objective: str, coverage: str) -> None:
    settings = replace(
        SMALL,
        architecture=architecture,
        objective=objective,
        coverage=coverage,
        n_shared_negatives=64,
        lr=0.03,
        dropout=0.0,
        history=False,
        epochs=8,
        schedule="constant",
    )
    first, *_, last = train(settings).epochs
    assert last.loss < 0.95 * first.loss


def test_trained_model_is_folded_and_scores_as_when_it_was_selected() -> None:
    trained = train()
    assert not trained.model.uses_history
    scores = small_data().validation.scores(trained.model)
    ranks = (scores[:, 1:] >= scores[:, :1]).sum(1)
    assert ranks.lt(10).double().mean().item() == trained.best.hit_rate


def test_folding_does_not_change_scores() -> None:
    models: list[RankingModel] = []
    train(on_epoch=lambda _, model: models.append(model))
    model = models[-1].eval()
    pairs = small_data().train
    users = torch.arange(N_USERS)
    with torch.no_grad():
        assert torch.allclose(
            model.folded(lambda batch: full_histories(pairs, batch)).score_catalogue(users),
            model.score_catalogue(users, full_histories(pairs, users)),
            atol=1e-5,
        )


def test_weights_of_the_best_epoch_are_restored() -> None:
    # A learning rate at which the validation metric soon decreases.
    settings = replace(SMALL, epochs=10, lr=3.0, schedule="constant", patience=3)
    trained = train(settings)
    assert trained.best.number < trained.epochs[-1].number
    assert trained.epochs[-1].number - trained.best.number == 3
    assert same(trained, train(replace(settings, epochs=trained.best.number)))


def test_training_is_repeatable_and_depends_on_its_seed() -> None:
    assert same(train(), train())
    assert not same(train(), train(replace(SMALL, seed=7)))


def test_neumf_starts_from_its_parts_and_is_not_worse_than_them() -> None:
    epochs = train(replace(SMALL, architecture="neumf", pretrain=True)).epochs
    start = next(epoch for epoch in epochs if epoch.phase == "fused")
    best = {phase: max(e.ndcg for e in epochs if e.phase == phase) for phase in ("gmf", "mlp", "fused")}
    assert start.number == 0
    assert start.ndcg >= max(best["gmf"], best["mlp"]) - 1e-9
    assert best["fused"] >= start.ndcg


@pytest.mark.parametrize("pointwise_factor_num", [0, 5])
def test_without_fused_epochs_neumf_is_the_blend_of_its_parts(pointwise_factor_num: int) -> None:
    settings = replace(
        SMALL,
        architecture="neumf",
        pretrain=True,
        fused_epochs=0,
        pointwise_factor_num=pointwise_factor_num,
        pointwise_epochs=2,
    )
    n_parts = 3 if pointwise_factor_num else 2
    trained = train(settings, blend_grid=(1 / n_parts,))
    assert [epoch.number for epoch in trained.epochs if epoch.phase == "fused"] == [0]
    assert trained.model.config.factor_num == SMALL.factor_num + pointwise_factor_num
    assert trained.best.phase == "fused"


def test_gmf_can_have_two_parts() -> None:
    settings = replace(SMALL, pretrain=True, pointwise_factor_num=5, pointwise_epochs=2, fused_epochs=0)
    trained = train(settings, blend_grid=(0.5,))
    assert {epoch.phase for epoch in trained.epochs} == {"gmf", "gmf-pointwise", "fused"}
    assert trained.model.config.factor_num == SMALL.factor_num + 5
    assert trained.model.mlp is None


def test_part_with_blend_weight_zero_is_neither_refitted_nor_served() -> None:
    settings = replace(SMALL, architecture="neumf", pretrain=True, refit=True, mlp_epochs=1, mlp_lr=1e-9)
    trained = train(settings, blend_grid=(0.0, 1.0))  # one part has the whole weight
    phases = {epoch.phase for epoch in trained.epochs}
    assert "mlp" in phases
    assert "gmf-refit" in phases
    assert "mlp-refit" not in phases
    assert trained.model.mlp is None
    (note,) = trained.notes
    assert re.fullmatch(
        r"Parts in use, and what each adds to validation NDCG@10: gmf [+]0\.\d{4}; left out: mlp\.", note
    )


def test_refit_trains_on_validation_too_for_the_selected_epochs() -> None:
    trained = train(replace(SMALL, refit=True))
    refit = [epoch for epoch in trained.epochs if epoch.phase == "gmf-refit"]
    assert len(refit) == trained.best.number
    assert not same(trained, train())


@pytest.mark.parametrize(
    ("n_held_out", "schedule", "expected"),
    [(15, "one-cycle", [9, 10]), (60, "one-cycle", None), (15, "constant", None)],
)
def test_refit_with_few_new_pairs_repeats_the_end_of_the_schedule_from_the_selected_weights(
    n_held_out: int, schedule: str, expected: list[int] | None
) -> None:
    whole = small_data()
    kept = np.arange(len(whole.held_out)) < n_held_out
    data = replace(whole, held_out=whole.held_out.where(kept))
    models: dict[str, RankingModel] = {}
    settings = replace(SMALL, epochs=10, refit=True, schedule=schedule, patience=10)
    trained = run_plan(
        training_plan(settings), data, on_epoch=lambda epoch, model: models.update({epoch.phase: model})
    )
    numbers = [epoch.number for epoch in trained.epochs if epoch.phase == "gmf-refit"]
    assert numbers == (expected or [*range(1, trained.best.number + 1)])
    assert (models["gmf"] is models["gmf-refit"]) is bool(expected)


@pytest.mark.parametrize("coverage", ["whole", "sampled"])
@pytest.mark.parametrize("objective", ["softmax", "row-bce"])
def test_event_weights_change_the_training_only_if_they_differ(objective: str, coverage: str) -> None:
    settings = replace(SMALL, objective=objective, coverage=coverage, epochs=1)
    data, plan = small_data(), training_plan(replace(settings, event_weights=True))
    ones = np.full(len(data.train), 2.0, dtype=np.float32)
    equal = run_plan(plan, replace(data, train=replace(data.train, weights=ones)))
    assert torch.allclose(weights(equal), weights(train(settings)), atol=1e-5)
    ones[::2] = 9.0
    assert not same(run_plan(plan, replace(data, train=replace(data.train, weights=ones))), equal)


def test_loss_that_is_not_finite_names_its_step() -> None:
    with pytest.raises(TrainingError, match="gmf: epoch 1, step 1: the loss is"):
        train(replace(SMALL, embedding_std=1e30))


OVERFLOWING = {"lr": 1e25, "batch_size": 64, "schedule": "constant"}  # finite weights, infinite scores


def test_epoch_with_scores_that_are_not_finite_is_not_selected() -> None:
    with pytest.raises(TrainingError, match=r"gmf: epoch 1: \d+ of 3060 scores are not finite; lower the"):
        train(replace(SMALL, **OVERFLOWING))


def test_refit_with_scores_that_are_not_finite_is_not_returned() -> None:
    first, refit = training_plan(replace(SMALL, refit=True))
    refit = replace(refit, settings=replace(refit.settings, **OVERFLOWING, epochs=1))
    with pytest.raises(TrainingError, match=r"gmf-refit: .* not finite"):
        run_plan([replace(first, max_epochs=1), refit], small_data())


def test_blend_that_is_not_finite_is_not_selected() -> None:
    scores = torch.linspace(-1, 1, 30).view(3, 10)
    assert best_blend_weights([scores, scores], lambda _: 1.0)
    with pytest.raises(NotFiniteError, match="blended scores are not finite"):
        best_blend_weights([scores * 3e38, scores], lambda _: 1.0, [0.0, 0.5, 1.0])


def test_training_runs_without_functions_newer_than_torch_2_6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)  # of later versions
    assert train(replace(SMALL, epochs=1, precision="auto")).epochs


def test_mlp_without_a_blend_weight_is_not_trained_to_its_end() -> None:
    settings = replace(SMALL, architecture="neumf", pretrain=True, mlp_epochs=4)
    useless = train(replace(settings, mlp_lr=1e-9), blend_grid=(0.0, 1.0))
    assert [epoch.number for epoch in useless.epochs if epoch.phase == "mlp"] == [1]
    used = train(settings, blend_grid=(0.5,))
    assert [epoch.number for epoch in used.epochs if epoch.phase == "mlp"] == [1, 2, 3, 4]


@pytest.mark.parametrize(("schedule", "validated"), [("constant", 20), ("one-cycle", 10)])
def test_half_of_twenty_epochs_are_validated_unless_the_rate_is_constant(
    schedule: str, validated: int
) -> None:
    epochs = train(replace(SMALL, epochs=20, patience=20, schedule=schedule)).epochs
    assert len(epochs) == 20
    assert sum(bool(epoch.metrics) for epoch in epochs) == validated
    assert epochs[-1].metrics


def with_ease(**values: object) -> Hyperparameters:
    return replace(SMALL, pretrain=True, fused_epochs=0, ease_factor_num=6, ease_l2=5.0, refit=True, **values)


@pytest.mark.parametrize(("n_held_out", "is_fitted_again"), [(15, False), (60, True)])
def test_factors_of_ease_are_a_part_and_fitted_again_only_for_many_new_pairs(
    n_held_out: int, is_fitted_again: bool
) -> None:
    whole = small_data()
    data = replace(whole, held_out=whole.held_out.where(np.arange(len(whole.held_out)) < n_held_out))
    models: dict[str, RankingModel] = {}
    trained = run_plan(
        training_plan(with_ease()),
        data,
        blend_grid=(0.5,),
        on_epoch=lambda epoch, model: models.update({epoch.phase: model}),
    )
    assert trained.model.config.factor_num == SMALL.factor_num + 6
    assert (models["gmf-ease"] is not models["gmf-ease-refit"]) is is_fitted_again


def test_large_catalogue_has_no_factors_of_ease() -> None:
    plan = without_part(training_plan(with_ease()), "gmf-ease")
    assert [phase.name for phase in plan] == ["gmf", "fused", "gmf-refit", "fused-refit"]
    assert [phase.parts for phase in plan if phase.parts] == [("gmf",), ("gmf-refit",)]
    assert not EASEFactors.supports(20_000)


def test_sentence_says_what_each_part_adds_and_which_is_left_out() -> None:
    sentence = parts_sentence(
        ["gmf", "gmf-pointwise", "gmf-ease"], [0.6, 0.4, 0.0], [0.0123, -0.0004, 0.5], 10
    )
    assert sentence == (
        "Parts in use, and what each adds to validation NDCG@10: gmf +0.0123, gmf-pointwise -0.0004; "
        "left out: gmf-ease."
    )
