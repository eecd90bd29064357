"""Runner of a training plan: trains its phases in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ml.ncf.data.sharding import SINGLE_PROCESS, ProcessRank
from ml.ncf.model.base import RankingModel
from ml.ncf.model.ease_factors import EASEFactors
from ml.ncf.model.finite import NotFiniteError
from ml.ncf.training.blending import GRID
from ml.ncf.training.checkpoint import CheckpointFolder
from ml.ncf.training.loop import Epoch, OnEpoch, TrainingError, fit, ignore_epoch
from ml.ncf.training.plan import EASE_PART, TrainingPhase, without_part
from ml.ncf.training.plan_run import PlanRun
from ml.ncf.training.recent_phase import RecentPhase
from ml.ncf.training.refit import Refits
from ml.ncf.training.selection import HALF_LIVES, Selector
from ml.ncf.training.training_data import PhaseData, TrainingData


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained model, ready to serve, and the record of its training."""

    model: RankingModel
    epochs: list[Epoch]  # of every phase, in order
    best: Epoch  # the epoch that validation selected
    notes: tuple[str, ...] = ()  # sentences about what was selected


def run_plan(
    plan: Sequence[TrainingPhase],
    data: TrainingData,
    *,
    rank: ProcessRank = SINGLE_PROCESS,
    checkpoints: CheckpointFolder | None = None,
    on_epoch: OnEpoch = ignore_epoch,
    half_lives: Sequence[float] = HALF_LIVES,
    blend_grid: Sequence[float] = GRID,
) -> Trained:
    """Run the phases in order; the model of the last one is folded and ready to serve.

    The result depends only on the plan, the data, the rank, the world size and the number of threads.

    Args:
        plan: see `ml.ncf.training.plan.training_plan`.
        data: of all processes; each takes its shard of every batch.
        rank: of this process.
        checkpoints: folder of the checkpoints; None: none are written.
        on_epoch: called after every epoch.
        half_lives: half-lives of an item in a history that validation chooses from.
        blend_grid: blend weights that validation chooses from.

    Raises:
        ml.ncf.data.interactions.DataError: the data cannot be trained on.
        ml.ncf.training.loop.TrainingError: a loss, a weight or a score is not finite.
        ValueError: the model family does not support the size of the data.
    """
    if not EASEFactors.supports(data.train.n_items):
        plan = without_part(plan, EASE_PART)
    recent = RecentPhase.of_plan(plan, data.train)
    n_fitted = len(data.train if recent is None else recent.fitted)
    run = PlanRun(
        data=PhaseData(training=data, fitted_parts=None if recent is None else recent.fitted),
        rank=rank,
        checkpoints=checkpoints,
        selector=Selector(
            validation=data.validation,
            k=plan[0].settings.top_k,
            half_lives=half_lives,
            blend_grid=blend_grid,
        ),
        recent=recent,
        refits=Refits.of_plan(plan, n_fitted, len(data.train) + len(data.held_out)),
    )
    for phase in plan:
        try:
            if run.is_unused(phase):
                run.skip(phase)
                continue
            if phase.base is not None:
                run.add_recent_mlp(phase, on_epoch)
                continue
            model = run.initial_model(phase)
            if phase.is_closed_form:
                run.finish(phase, model, run.solve(phase, model, on_epoch))
            else:
                run.finish(phase, model, fit(phase, model, run.context(phase, model, on_epoch)))
        except NotFiniteError as error:
            raise TrainingError(f"{phase.name}: {error}; lower the learning rate") from error
    selected = [phase.name for phase in plan if phase.repeats is None][-1]
    return Trained(
        model=run.models[plan[-1].name],
        epochs=run.epochs,
        best=run.selections[selected].best,
        notes=tuple(run.notes),
    )
