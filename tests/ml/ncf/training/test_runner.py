from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.ncf.data.prepared_run import Interactions
from ml.ncf.evaluation.evaluation_set import Candidates
from ml.ncf.model.ncf import NCF
from ml.ncf.objectives.catalogue import whole_histories
from ml.ncf.training import parts as parts_module
from ml.ncf.training.checkpoint import CheckpointError
from ml.ncf.training.loop import Epoch, TrainingError
from ml.ncf.training.recipe import Recipe, Trained
from ml.settings.hyperparameters import Hyperparameters
from tests.ml.ncf.prepared import tasteful_shop

N_USERS, N_ITEMS = 60, 110
ROOT = Path(__file__).parents[4]

SMALL = Hyperparameters(
    objective="softmax",
    architecture="gmf",
    epochs=4,
    lr=0.05,
    batch_size=16,
    factor_num=8,
    mlp_factor_num=4,
    mlp_epochs=2,
    fused_epochs=2,
    dropout=0.3,
    history=True,
    schedule="one-cycle",
    embedding_std=0.3,
    precision="float32",
)


def recipe(settings: Hyperparameters = SMALL, **changes: object) -> Recipe:
    splits = tasteful_shop(N_USERS, N_ITEMS)
    rows = {
        name: Interactions.from_pairs(pairs[:, 0], pairs[:, 1], N_USERS, N_ITEMS)
        for name, pairs in splits.items()
    }
    seen = rows["train"].union(rows["validation"])
    validation = Candidates.sampled(rows["validation"], seen, 50, np.random.default_rng(0))
    return Recipe(
        train=rows["train"],
        held_out=rows["validation"],
        validation=validation,
        settings=settings,
        **changes,
    )


def weights(trained: Trained) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trained.model.parameters()])


def same(first: Trained, second: Trained) -> bool:
    return torch.equal(weights(first), weights(second))


class Killed(Exception):  # noqa: N818 -- not an error of the training
    """What a spot interruption does to a training."""


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
def test_every_objective_teaches(architecture: str, objective: str, coverage: str) -> None:
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
    first, *_, last = recipe(settings).run().epochs
    assert last.loss < 0.95 * first.loss


def test_the_model_comes_back_folded_and_scores_as_it_was_selected() -> None:
    made = recipe()
    trained = made.run()
    assert not trained.model.config.history
    ranks = made.validation.scores(trained.model)
    assert (ranks[:, 1:] >= ranks[:, :1]).sum(1).lt(10).double().mean().item() == trained.best.hit_rate


def test_folding_changes_no_score() -> None:
    made = recipe()
    seen_models: list[NCF] = []
    replace(made, on_epoch=lambda _, model: seen_models.append(model)).run()
    model = seen_models[-1].eval()
    history_of = lambda users: whole_histories(made.train, users)  # noqa: E731
    users = torch.arange(N_USERS)
    with torch.no_grad():
        assert torch.allclose(
            model.folded(history_of).score_catalogue(users),
            model.score_catalogue(users, history_of(users)),
            atol=1e-5,
        )


def test_the_best_epochs_weights_are_restored() -> None:
    settings = replace(
        SMALL, epochs=10, lr=3.0, schedule="constant", patience=3
    )  # a rate that soon does harm
    trained = recipe(settings).run()
    assert trained.best.number < trained.epochs[-1].number
    assert trained.epochs[-1].number - trained.best.number == 3
    alone = recipe(replace(settings, epochs=trained.best.number)).run()
    assert same(trained, alone)


def test_training_is_repeatable_and_its_seed_matters() -> None:
    assert same(recipe().run(), recipe().run())
    assert not same(recipe().run(), recipe(replace(SMALL, seed=7)).run())


@pytest.mark.parametrize("killed_in", [("gmf", 2), ("mlp", 1), ("fused", 1), ("gmf-refit", 1)])
def test_a_killed_training_resumes_to_the_same_result(killed_in: tuple[str, int], tmp_path: Path) -> None:
    settings = replace(SMALL, architecture="neumf", pretrain=True, refit=True)

    def kill(epoch: Epoch, _: NCF) -> None:
        if (epoch.stage, epoch.number) == killed_in:
            raise Killed

    with pytest.raises(Killed):
        recipe(settings, checkpoints=tmp_path, on_epoch=kill).run()
    resumed: list[Epoch] = []
    trained = recipe(settings, checkpoints=tmp_path, on_epoch=lambda e, _: resumed.append(e)).run()
    assert (resumed[0].stage, resumed[0].number) != ("gmf", 1)
    assert same(trained, recipe(settings).run())


def test_a_checkpoint_of_another_configuration_is_refused_by_name(tmp_path: Path) -> None:
    recipe(checkpoints=tmp_path).run()
    with pytest.raises(
        CheckpointError, match=r"gmf\.pt is of another configuration: lr is 0\.05 there, 0\.01 here"
    ):
        recipe(replace(SMALL, lr=0.01), checkpoints=tmp_path).run()


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "gmf.pt").write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match=r"gmf\.pt: cannot be read"):
        recipe(checkpoints=tmp_path).run()


def test_neumf_starts_from_its_towers_and_ends_no_worse() -> None:
    settings = replace(SMALL, architecture="neumf", pretrain=True)
    epochs = recipe(settings).run().epochs
    start = next(epoch for epoch in epochs if epoch.stage == "fused")
    best = {stage: max(e.ndcg for e in epochs if e.stage == stage) for stage in ("gmf", "mlp", "fused")}
    assert start.number == 0
    assert start.ndcg >= max(best["gmf"], best["mlp"]) - 1e-9
    assert best["fused"] >= start.ndcg


@pytest.mark.parametrize("pointwise_factor_num", [0, 5])
def test_without_epochs_together_neumf_is_its_parts_as_they_were_trained(pointwise_factor_num: int) -> None:
    settings = replace(
        SMALL,
        architecture="neumf",
        pretrain=True,
        fused_epochs=0,
        pointwise_factor_num=pointwise_factor_num,
        pointwise_epochs=2,
    )
    trained = recipe(settings).run()
    assert [epoch.number for epoch in trained.epochs if epoch.stage == "fused"] == [0]
    assert trained.model.config.factor_num == SMALL.factor_num + pointwise_factor_num
    assert trained.best.stage == "fused"


def test_a_gmf_may_have_two_parts() -> None:
    settings = replace(SMALL, pretrain=True, pointwise_factor_num=5, pointwise_epochs=2, fused_epochs=0)
    trained = recipe(settings).run()
    assert {epoch.stage for epoch in trained.epochs} == {"gmf", "gmf-pointwise", "fused"}
    assert trained.model.config.factor_num == SMALL.factor_num + 5
    assert trained.model.mlp is None


def test_a_part_without_a_share_is_not_trained_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "SHARES", (0.0, 1.0))  # the better part takes all
    settings = replace(SMALL, architecture="neumf", pretrain=True, refit=True, mlp_epochs=1, mlp_lr=1e-9)
    stages = {epoch.stage for epoch in recipe(settings).run().epochs}
    assert "mlp" in stages
    assert "gmf-refit" in stages
    assert "mlp-refit" not in stages


def test_a_refit_trains_on_validation_too_for_the_chosen_epochs() -> None:
    trained = recipe(replace(SMALL, refit=True)).run()
    refit = [epoch for epoch in trained.epochs if epoch.stage == "gmf-refit"]
    assert len(refit) == trained.best.number
    assert not same(trained, recipe().run())


def test_a_loss_that_is_not_finite_names_its_step() -> None:
    with pytest.raises(TrainingError, match="gmf: epoch 1, step 1: the loss is"):
        recipe(replace(SMALL, embedding_std=1e30)).run()


TRAIN_AS_ONE_OF_TWO = """
import sys, torch
from dataclasses import replace
from ml.ncf.training.distributed import processes
from tests.ml.ncf.training.test_runner import SMALL, recipe, weights
with processes() as share:
    settings = replace(SMALL, dropout=0.0, history_dropout=0.0)
    torch.save(weights(recipe(settings, share=share).run()), sys.argv[1])
"""


def test_two_processes_train_the_model_that_one_does(tmp_path: Path, free_port: int) -> None:
    children = []
    for rank in range(2):
        environment = {
            **os.environ,
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port),
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-c", TRAIN_AS_ONE_OF_TWO, str(tmp_path / f"{rank}.pt")]
        children.append(subprocess.Popen(command, cwd=ROOT, env=environment))
    assert [child.wait(timeout=120) for child in children] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    alone = weights(recipe(replace(SMALL, dropout=0.0, history_dropout=0.0)).run())
    assert torch.equal(first, second)
    assert torch.allclose(first, alone, atol=1e-4)
