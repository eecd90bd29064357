"""What a training is told: one frozen record, its presets, and the command line made from both.

SageMaker hands hyperparameters over as `--name value` with the names as the pipeline wrote them, so every
flag is accepted with underscores and with hyphens.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ml.ncf.model import Architecture

Objective = Literal["bce", "row-bce", "softmax"]
Coverage = Literal["whole", "sampled", "auto"]
Schedule = Literal["constant", "one-cycle"]
Precision = Literal["float32", "bfloat16", "auto"]
Value = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The defaults are the post's, under the paper's objective; `PRESETS` names the other sets."""

    architecture: Architecture = "neumf"
    objective: Objective = "bce"
    epochs: int = 10
    lr: float = 0.001
    batch_size: int = 256  # a step, over all processes: positive pairs (bce) or users
    top_k: int = 10
    dropout: float = 0.3
    factor_num: int = 32
    learn_output: bool = True  # GMF's h; false leaves it at ones, a plain dot product
    mlp_factor_num: int = 32
    num_layers: int = 3
    n_negatives: int = 4  # a positive (bce, row-bce); He et al. 2017, section 4.1
    # Of the catalogue, in a step of softmax and row-bce; auto: a sample, where it or the model is too large.
    coverage: Coverage = "auto"
    n_shared_negatives: int = 512  # a batch, where the catalogue is sampled
    history: bool = False  # users' inputs pool their histories; not with bce
    history_dropout: float = 0.3
    weight_decay: float = 0.0
    beta2: float = 0.999
    schedule: Schedule = "constant"
    embedding_std: float = 0.01
    patience: int = 5  # epochs without a better validation NDCG before training stops
    precision: Precision = "auto"
    seed: int = 42
    # A model from separately trained parts (section 3.4.1). The settings above train its GMF.
    pretrain: bool = False
    pointwise_factor_num: int = 0  # further GMF factors, trained with row-bce; 0: none
    pointwise_epochs: int = 60
    pointwise_lr: float = 0.01
    pointwise_weight_decay: float = 0.6
    pointwise_dropout: float = 0.3
    mlp_objective: Objective = "bce"
    mlp_n_negatives: int = 4
    mlp_epochs: int = 10
    mlp_lr: float = 0.001
    mlp_batch_size: int = 256
    mlp_weight_decay: float = 0.0
    mlp_dropout: float = 0.3
    fused_epochs: int = 2
    fused_lr: float = 0.0001
    # After selection: once more from the start, for the best number of epochs, on train and validation.
    refit: bool = False

    def __post_init__(self) -> None:
        at_least_zero = {"pointwise_factor_num", "fused_epochs", "seed"}
        at_least_zero |= {name for name in get_type_hints(type(self)) if name.endswith("weight_decay")}
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if get_origin(kind) is Literal and value not in get_args(kind):
                raise ValueError(f"{name} is {value!r}: one of {', '.join(get_args(kind))}")
            if name in at_least_zero and value < 0:
                raise ValueError(f"{name} is {value}: at least 0")
            if kind is int and name not in at_least_zero and value < 1:
                raise ValueError(f"{name} is {value}: at least 1")
        for name in ("lr", "pointwise_lr", "mlp_lr", "fused_lr", "embedding_std"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: more than 0")
        for name in ("dropout", "pointwise_dropout", "mlp_dropout", "history_dropout", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: at least 0 and less than 1")
        if self.pretrain and self.architecture == "mlp":
            raise ValueError("pretrain is true: an MLP has no parts to train first; gmf or neumf")
        if self.history and self.objective == "bce":
            raise ValueError("history is true: objective bce trains on pairs and cannot pool histories")

    def as_dict(self) -> dict[str, Value]:
        return asdict(self)


# Two losses, one GMF: their factors stand side by side.
_GMF: dict[str, Value] = {
    "architecture": "gmf",
    "objective": "softmax",
    "epochs": 40,
    "lr": 0.01,
    "dropout": 0.3,
    "factor_num": 192,
    "learn_output": False,  # h is not decayed: it would undo the decay of the embeddings
    "n_negatives": 8,
    "history": True,
    "weight_decay": 1.0,
    "beta2": 0.99,
    "schedule": "one-cycle",
    "embedding_std": 0.05,
    "patience": 20,  # a one-cycle rate is at its best when it ends
    "pretrain": True,
    "pointwise_factor_num": 192,
    "fused_epochs": 0,  # an epoch of it improved validation with no seed
    "refit": True,
}

# name -> what differs from the defaults. docs/adr holds the search that chose them.
PRESETS: dict[str, dict[str, Value]] = {
    "post": {},
    "gmf": _GMF,
    "neumf": {
        **_GMF,
        "architecture": "neumf",
        "factor_num": 384,
        "mlp_factor_num": 16,
        "mlp_batch_size": 2048,
        "mlp_epochs": 3,
        "mlp_lr": 0.004,
        "mlp_dropout": 0.1,
    },
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--preset` and a flag a hyperparameter."""
    group = parser.add_argument_group("hyperparameters")
    group.add_argument("--preset", choices=PRESETS, default="post", help="what fills the flags not given")
    kinds = get_type_hints(Hyperparameters)
    for field in fields(Hyperparameters):
        names = sorted({f"--{field.name}", f"--{field.name.replace('_', '-')}"})
        # SUPPRESS leaves what was not given out, so that the preset can fill it.
        group.add_argument(
            *names, default=argparse.SUPPRESS, help=f"post: {field.default}", **_parsing(kinds[field.name])
        )


def _parsing(kind: Any) -> dict[str, Any]:
    if get_origin(kind) is Literal:
        return {"choices": get_args(kind)}
    return {"type": _boolean, "metavar": "true|false"} if kind is bool else {"type": kind}


def _boolean(text: str) -> bool:
    """SageMaker passes every hyperparameter as text."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r}: true or false")
    return text.lower() == "true"


def from_arguments(arguments: argparse.Namespace) -> Hyperparameters:
    """The preset, with what was given explicitly on top.

    Raises:
        ValueError: a value out of its range; the message names it.
    """
    given = {
        f.name: getattr(arguments, f.name) for f in fields(Hyperparameters) if hasattr(arguments, f.name)
    }
    values: dict[str, Any] = {**PRESETS[arguments.preset], **given}
    return Hyperparameters(**values)


def parse(argv: Sequence[str]) -> Hyperparameters:
    """Hyperparameters from flags alone."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    return from_arguments(parser.parse_args(argv))
