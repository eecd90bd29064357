"""Training plan: the phases of training, derived only from the hyperparameters.

Without `pretrain` the plan has one phase. With it, each part is trained separately, then a fused model starts
from all of them (He et al. 2017, section 3.4.1). With `refit`, every phase is repeated on train and
validation together: from random weights for the number of epochs that validation chose, or the end of a
one-cycle schedule from the selected weights, if few pairs are new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ml.ncf.model.registry import family_of
from ml.ncf.training.recent_mlp import EPOCHS
from ml.settings.hyperparameters import Hyperparameters

RECENT = "neumf-recent"  # the architecture with an MLP over recent items
EASE_PART = "gmf-ease"  # the name and the architecture of the part
COLUMNS = ("phase", "model", "data", "objective", "epochs", "lr", "batch size", "starts from")


@dataclass(frozen=True, kw_only=True)
class TrainingPhase:
    """One phase: the model that is trained, its settings and its data.

    Args:
        name: unique in the plan; names the checkpoint file and the lines of the log.
        index: position among the phases on the same data; part of the seed of every random stream.
        architecture: a value of the hyperparameter of that name.
        settings: hyperparameters of this phase.
        max_epochs: epochs to train at most; `settings.epochs` is the length of the learning rate schedule.
        parts: names of the phases whose models this phase starts from; empty: random initial weights.
        beside: names of earlier parts; the phase ends when its model gets the blend weight 0 beside them.
        base: name of the phase to whose model this phase adds the MLP over recent items; None: it adds none.
        repeats: name of the phase that this one repeats on train and validation together; None: this phase is
            trained on the train split and selects its best epoch on the validation split.
    """

    name: str
    index: int
    architecture: str
    settings: Hyperparameters
    max_epochs: int
    parts: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    base: str | None = None
    repeats: str | None = None

    @property
    def is_closed_form(self) -> bool:
        """Whether the model is computed in one step, without epochs."""
        return family_of(self.architecture).is_closed_form

    @property
    def may_continue(self) -> bool:
        """Whether the phase may start from the selected weights of `repeats` and train to the same end.

        For a part with a closed form, nothing is left to train: only its histories are the complete ones.
        """
        is_part = not (self.parts or self.base) and self.architecture != "ease"
        return self.repeats is not None and is_part and self.settings.schedule == "one-cycle"

    def row(self) -> tuple[str, ...]:
        """The phase as text, one value for each of `COLUMNS`."""
        settings = self.settings
        if self.base is not None:
            objective, epochs, rate, batch_size = "softmax of negatives", "-", "-", "-"
        elif self.is_closed_form:
            objective, epochs, rate, batch_size = "closed form", "-", "-", "-"
        else:
            objective, rate, batch_size = settings.objective, f"{settings.lr:g}", str(settings.batch_size)
            epochs = str(self.max_epochs) if self.repeats is None else f"best of {self.repeats}"
        start = f"blend of {', '.join(self.parts)}" if self.parts else self.base or "random weights"
        if self.may_continue:
            start += f", or {self.repeats}"
        data = "train" if self.repeats is None else "train + validation"
        return (
            self.name,
            self.architecture,
            data,
            objective,
            epochs,
            rate,
            batch_size,
            "-" if self.is_closed_form else start,
        )


def training_plan(settings: Hyperparameters) -> list[TrainingPhase]:
    """The phases of training, in the order in which they run."""
    phases = _pretrained(settings) if settings.pretrain else [_single(settings)]
    if settings.refit:
        phases += [_refit(phase) for phase in phases]
    return phases


def without_part(plan: Sequence[TrainingPhase], name: str) -> list[TrainingPhase]:
    """The plan without a part, and without its refit."""
    names = {name, _refit_name(name)}
    return [
        replace(
            phase,
            parts=tuple(part for part in phase.parts if part not in names),
            beside=tuple(part for part in phase.beside if part not in names),
        )
        for phase in plan
        if phase.name not in names
    ]


def plan_text(plan: Sequence[TrainingPhase]) -> str:
    """The plan as a table, one line per phase."""
    rows = [COLUMNS, *(phase.row() for phase in plan)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _single(settings: Hyperparameters) -> TrainingPhase:
    return TrainingPhase(
        name=settings.architecture,
        index=0,
        architecture=settings.architecture,
        settings=settings,
        max_epochs=settings.epochs,
    )


def _refit(phase: TrainingPhase) -> TrainingPhase:
    return replace(
        phase,
        name=_refit_name(phase.name),
        parts=tuple(_refit_name(part) for part in phase.parts),
        beside=(),
        base=_refit_name(phase.base) if phase.base else None,
        repeats=phase.name,
    )


def _refit_name(name: str) -> str:
    return f"{name}-refit"


def _pretrained(settings: Hyperparameters) -> list[TrainingPhase]:
    """One phase per part, then the fused model."""
    parts = _parts(settings)
    phases = [
        TrainingPhase(
            name=name,
            index=index,
            architecture=architecture,
            settings=of_part,
            max_epochs=of_part.epochs,
            beside=tuple(before for before, *_ in parts[:index]) if architecture == "mlp" else (),
        )
        for index, (name, architecture, of_part) in enumerate(parts)
    ]
    fused = replace(
        settings,
        history=False,  # the histories of the parts are folded into their embeddings
        epochs=max(1, settings.fused_epochs),
        lr=settings.fused_lr,
        patience=settings.fused_epochs + 1,
    )
    phases.append(
        TrainingPhase(
            name="fused",
            index=len(phases),
            architecture="gmf" if settings.architecture == RECENT else settings.architecture,
            settings=fused,
            max_epochs=settings.fused_epochs,
            parts=tuple(phase.name for phase in phases),
        )
    )
    if settings.architecture == RECENT:
        phases.append(
            TrainingPhase(
                name="recent-mlp",
                index=len(phases),
                architecture=RECENT,
                settings=settings,
                max_epochs=EPOCHS,
                base="fused",
            )
        )
    return phases


def _parts(settings: Hyperparameters) -> list[tuple[str, str, Hyperparameters]]:
    """Name, architecture and hyperparameters of each part."""
    parts = [("gmf", "gmf", settings)]
    if settings.pointwise_factor_num:
        pointwise = replace(
            settings,
            objective="row-bce",
            factor_num=settings.pointwise_factor_num,
            epochs=settings.pointwise_epochs,
            lr=settings.pointwise_lr,
            weight_decay=settings.pointwise_weight_decay,
            dropout=settings.pointwise_dropout,
        )
        parts.append(("gmf-pointwise", "gmf", pointwise))
    if settings.ease_factor_num:
        parts.append((EASE_PART, EASE_PART, settings))
    if settings.architecture == "neumf":
        mlp = replace(
            settings,
            objective=settings.mlp_objective,
            n_negatives=settings.mlp_n_negatives,
            history=settings.history and settings.mlp_objective != "bce",
            epochs=settings.mlp_epochs,
            lr=settings.mlp_lr,
            batch_size=settings.mlp_batch_size,
            weight_decay=settings.mlp_weight_decay,
            dropout=settings.mlp_dropout,
        )
        parts.append(("mlp", "mlp", mlp))
    return parts
