"""What a training is told: one frozen record, its presets, and the command line made from both.

SageMaker hands hyperparameters over as `--name value` with the names as the pipeline wrote them, so every
flag is accepted with underscores and with hyphens.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args, get_origin, get_type_hints

from ml.ncf.model import Architecture

Objective = Literal["bce", "softmax"]
Optimizer = Literal["adam", "adamw"]
Schedule = Literal["constant", "one-cycle"]
Precision = Literal["float32", "bfloat16", "auto"]


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The defaults are the post's, under the paper's objective; `PRESETS` names the other sets."""

    architecture: Architecture = "neumf"
    objective: Objective = "bce"
    epochs: int = 10
    lr: float = 0.001
    batch_size: int = 256  # positive pairs (bce) or users (softmax) a step
    top_k: int = 10
    dropout: float = 0.3
    factor_num: int = 32
    mlp_factor_num: int = 32
    num_layers: int = 3
    n_negatives: int = 4  # a positive; He et al. 2017, section 4.1
    optimizer: Optimizer = "adam"
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    embedding_std: float = 0.01
    patience: int = 5  # epochs without a better validation NDCG before training stops
    precision: Precision = "float32"
    seed: int = 42

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if get_origin(kind) is Literal and value not in get_args(kind):
                raise ValueError(f"{name} is {value!r}: one of {', '.join(get_args(kind))}")
            if kind is int and name != "seed" and value < 1:
                raise ValueError(f"{name} is {value}: at least 1")
        for name in ("lr", "embedding_std"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: more than 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}: at least 0 and less than 1")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay is {self.weight_decay}: at least 0")

    def as_dict(self) -> dict[str, str | int | float]:
        return asdict(self)


# name -> what differs from the defaults. docs/adr holds the search that chose them.
PRESETS: dict[str, dict[str, str | int | float]] = {
    "post": {},
    "dot-softmax": {
        "architecture": "gmf",
        "objective": "softmax",
        "epochs": 40,
        "lr": 0.01,
        "batch_size": 128,
        "dropout": 0.5,
        "factor_num": 64,
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "schedule": "one-cycle",
        "embedding_std": 0.05,
        "patience": 10,
    },
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--preset` and a flag a hyperparameter."""
    group = parser.add_argument_group("hyperparameters")
    group.add_argument(
        "--preset",
        choices=PRESETS,
        default="post",
        help="where the hyperparameters that are not given come from",
    )
    kinds = get_type_hints(Hyperparameters)
    for field in fields(Hyperparameters):
        names = sorted({f"--{field.name}", f"--{field.name.replace('_', '-')}"})
        kind = kinds[field.name]
        choices = get_args(kind) if get_origin(kind) is Literal else None
        # SUPPRESS leaves what was not given out, so that the preset can fill it.
        group.add_argument(
            *names,
            type=str if choices else kind,
            choices=choices,
            default=argparse.SUPPRESS,
            help=f"post: {field.default}",
        )


def from_arguments(arguments: argparse.Namespace) -> Hyperparameters:
    """The preset, with what was given explicitly on top.

    Raises:
        ValueError: a value out of its range; the message names it.
    """
    given = {
        f.name: getattr(arguments, f.name) for f in fields(Hyperparameters) if hasattr(arguments, f.name)
    }
    return Hyperparameters(**{**PRESETS[arguments.preset], **given})


def parse(argv: Sequence[str]) -> Hyperparameters:
    """Hyperparameters from flags alone."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    return from_arguments(parser.parse_args(argv))
