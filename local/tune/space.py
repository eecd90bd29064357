"""Ranges of the hyperparameters that are searched, by model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ml.ncf.model.ease_factors import EASEFactors
from ml.settings.hyperparameters import Hyperparameters


class Trial(Protocol):
    """Interface of optuna's trials; a trial that repeats given values implements it, too."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int: ...


@dataclass(frozen=True)
class Range:
    """Floating-point values, rounded to four significant digits."""

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: Trial, name: str) -> float:
        """A value of the range."""
        return float(f"{trial.suggest_float(name, self.low, self.high, log=self.log):.4g}")


@dataclass(frozen=True)
class Steps:
    """Whole numbers."""

    low: int
    high: int
    step: int = 1

    def suggest(self, trial: Trial, name: str) -> int:
        """A value of the range."""
        return trial.suggest_int(name, self.low, self.high, step=self.step)


Space = Mapping[str, Range | Steps]  # by name of the hyperparameter

_RATE, _DECAY, _DROPOUT = Range(0.002, 0.04, log=True), Range(0.05, 4.0, log=True), Range(0.0, 0.7)
_GMF: Space = {
    "factor_num": Steps(64, 384, 64),
    "epochs": Steps(16, 64, 8),
    "lr": _RATE,
    "weight_decay": _DECAY,
    "dropout": _DROPOUT,
    "history_dropout": _DROPOUT,
}
_POINTWISE: Space = {
    "pointwise_epochs": Steps(20, 80, 10),
    "pointwise_lr": _RATE,
    "pointwise_weight_decay": _DECAY,
    "pointwise_dropout": _DROPOUT,
}
_MLP: Space = {
    "mlp_factor_num": Steps(8, 64, 8),
    "mlp_epochs": Steps(2, 10),
    "mlp_lr": Range(0.0005, 0.01, log=True),
    "mlp_dropout": _DROPOUT,
}
_EASE_PART: Space = {
    "ease_factor_num": Steps(64, 384, 64),
    "ease_l2": Range(30.0, 3_000.0, log=True),
}
_RECENT: Space = {"recent_pairs": Steps(4, 16, 2)}
_PLAIN: Space = {  # one phase, as in preset lotteon
    "factor_num": Steps(8, 128, 8),
    "mlp_factor_num": Steps(8, 128, 8),
    "num_layers": Steps(1, 4),
    "epochs": Steps(5, 30, 5),
    "batch_size": Steps(256, 4096, 256),
    "lr": Range(0.0002, 0.01, log=True),
    "n_negatives": Steps(1, 12),
    "dropout": _DROPOUT,
}
_EASE: Space = {"ease_l2": Range(5.0, 10_000.0, log=True)}


def space_of(settings: Hyperparameters, n_items: int) -> Space:
    """The hyperparameters that are searched around some settings: those that their training uses.

    Args:
        settings: to start from.
        n_items: size of the catalogue; EASE's factors are a part of small ones only.
    """
    if settings.architecture == "ease":
        return _EASE
    if not settings.pretrain:
        return _PLAIN
    space = dict(_GMF)
    if settings.pointwise_factor_num:
        space |= _POINTWISE
    if settings.ease_factor_num and EASEFactors.supports(n_items):
        space |= _EASE_PART
    if settings.architecture == "neumf":
        space |= _MLP
    if settings.architecture == "neumf-recent":
        space |= _RECENT
    return space
