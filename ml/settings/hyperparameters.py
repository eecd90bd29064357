"""Hyperparameters: one frozen dataclass, its presets, and the command line derived from both.

SageMaker passes hyperparameters as ``--name value`` with the names as the pipeline wrote them, so every flag
is accepted with underscores and with hyphens.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Union

from ml.settings.fields import InvalidSettingError, Settings, setting
from ml.settings.flags import add_flags, given_flags

Architecture = Literal["gmf", "mlp", "neumf", "neumf-recent", "ease"]
Objective = Literal["bce", "row-bce", "softmax"]
Coverage = Literal["whole", "sampled", "auto"]
Schedule = Literal["constant", "one-cycle"]
Precision = Literal["float32", "bfloat16", "auto"]
Value = Union[str, int, float, bool]


def _count(default: int, help: str) -> Any:  # noqa: A002 (argparse's word)
    return setting(default, at_least=1, help=help)


def _rate(default: float, help: str) -> Any:  # noqa: A002
    return setting(default, more_than=0, help=help)


def _fraction(default: float, help: str) -> Any:  # noqa: A002
    return setting(default, at_least=0, less_than=1, help=help)


def _weight_decay(default: float, help: str) -> Any:  # noqa: A002
    return setting(default, at_least=0, help=help)


@dataclass(frozen=True)
class Hyperparameters(Settings):
    """Hyperparameters of a training job.

    The defaults are the values of the AWS blog post (README) with the paper's objective; `PRESETS` holds the
    other sets. Section numbers are those of He et al. 2017, Neural Collaborative Filtering.

    Raises:
        SettingError: a value is out of its range, or two values exclude each other.
    """

    architecture: Architecture = setting("neumf", help="model to train")
    objective: Objective = setting("bce", help="loss: sampled BCE, BCE over a user's row, or softmax")
    epochs: int = _count(10, "passes over the training data")
    lr: float = _rate(0.001, "learning rate; the peak of a one-cycle schedule")
    batch_size: int = _count(256, "positive pairs (bce) or users per step, over all processes")
    top_k: int = _count(10, "cut-off of HR and NDCG")
    dropout: float = _fraction(0.3, "dropout probability")
    factor_num: int = _count(32, "factors of GMF")
    learn_output: bool = setting(True, help="learn GMF's output weights; false: all ones, a dot product")
    mlp_factor_num: int = _count(32, "factors of the MLP")
    num_layers: int = _count(3, "hidden layers of the MLP")
    n_negatives: int = _count(4, "sampled negatives per positive (bce, row-bce); section 4.1")
    coverage: Coverage = setting(
        "auto",
        help="items per step of softmax and row-bce; auto: sampled if catalogue or model are large",
    )
    n_shared_negatives: int = _count(512, "sampled items per batch, if the catalogue is sampled")
    history: bool = setting(False, help="user inputs include their pooled history; not with bce")
    history_dropout: float = _fraction(0.3, "dropout probability of the items in a history")
    event_weights: bool = setting(
        False, help="positives count by the weight of their event in the run; not with bce"
    )
    weight_decay: float = _weight_decay(0.0, "weight decay of the embeddings")
    beta2: float = _fraction(0.999, "Adam's second moment decay")
    schedule: Schedule = setting("constant", help="learning rate schedule")
    embedding_std: float = _rate(0.01, "standard deviation of the initial embeddings")
    patience: int = _count(5, "epochs without a better validation NDCG before training stops")
    precision: Precision = setting("auto", help="floating-point format of the matrix products")
    seed: int = setting(42, at_least=0, help="seed of every random generator")
    ease_l2: float = _rate(500.0, "L2 regularization of EASE (lambda in Steck 2019, equation 8)")
    # Model fused from separately trained parts (section 3.4.1); the settings above apply to its GMF part.
    pretrain: bool = setting(False, help="train the parts first, then the fused model; section 3.4.1")
    pointwise_factor_num: int = setting(
        0, at_least=0, help="further GMF factors, trained with row-bce; 0: none"
    )
    pointwise_epochs: int = _count(60, "epochs of the pointwise part")
    pointwise_lr: float = _rate(0.01, "learning rate of the pointwise part")
    pointwise_weight_decay: float = _weight_decay(0.6, "weight decay of the pointwise part")
    pointwise_dropout: float = _fraction(0.3, "dropout probability of the pointwise part")
    ease_factor_num: int = setting(
        0,
        at_least=0,
        help="further GMF factors, from EASE's weights (ease_l2); 0, or over 5,000 items: none",
    )
    mlp_objective: Objective = setting("bce", help="loss of the MLP part")
    mlp_n_negatives: int = _count(4, "sampled negatives per positive of the MLP part")
    mlp_epochs: int = _count(10, "epochs of the MLP part")
    mlp_lr: float = _rate(0.001, "learning rate of the MLP part")
    mlp_batch_size: int = _count(256, "positive pairs or users per step of the MLP part")
    mlp_weight_decay: float = _weight_decay(0.0, "weight decay of the MLP part")
    mlp_dropout: float = _fraction(0.3, "dropout probability of the MLP part")
    fused_epochs: int = setting(2, at_least=0, help="epochs of the fused model; 0: none")
    fused_lr: float = _rate(0.0001, "learning rate of the fused model")
    recent_pairs: int = _count(
        8, "newest training pairs per user that only the MLP over recent items is trained on (neumf-recent)"
    )
    refit: bool = setting(
        False, help="after selection, train once more for the best number of epochs on train and validation"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pretrain and self.architecture not in ("gmf", "neumf", "neumf-recent"):
            raise InvalidSettingError(
                "pretrain",
                True,
                "false, or gmf, neumf or neumf-recent as {0}: no other model has parts",
                "architecture",
            )
        if self.architecture == "neumf-recent" and not (self.pretrain and self.refit):
            raise InvalidSettingError(
                "architecture",
                self.architecture,
                "another one, or true as {0} and as refit: the MLP is added to trained parts, which are then "
                "trained again on all pairs",
                "pretrain",
            )
        if self.history and self.objective == "bce":
            raise InvalidSettingError(
                "history",
                True,
                "false, or another {0}: bce trains on pairs and cannot pool histories",
                "objective",
            )

    def as_dict(self) -> dict[str, Value]:
        """The values by name, as model.json records them."""
        return asdict(self)


# Two GMF parts, trained with softmax and with row-bce; fusing concatenates their factors.
_GMF: dict[str, Value] = {
    "architecture": "gmf",
    "objective": "softmax",
    "epochs": 40,
    "lr": 0.01,
    "dropout": 0.3,
    "factor_num": 192,
    "learn_output": False,  # the output weights are not decayed: they would undo the embeddings' decay
    "n_negatives": 8,
    "history": True,
    "weight_decay": 1.0,
    "beta2": 0.99,
    "schedule": "one-cycle",
    "embedding_std": 0.05,
    "patience": 20,  # a one-cycle schedule reaches its best validation metric near its end
    "pretrain": True,
    "pointwise_factor_num": 192,
    "fused_epochs": 0,  # a fused epoch did not improve validation for any seed
    "refit": True,
}

# Name -> values that differ from the defaults; how they were selected: docs/adr/0007, docs/experiments.
PRESETS: dict[str, dict[str, Value]] = {
    "lotteon": {},  # the values of the AWS post, with the plain MLP of the paper
    "gmf": _GMF,
    "neumf": {
        **_GMF,
        "architecture": "neumf",
        "epochs": 20,
        "factor_num": 384,
        "pointwise_epochs": 30,
        "pointwise_weight_decay": 0.4,
        "pointwise_dropout": 0.0,
        "ease_factor_num": 256,
        "ease_l2": 300.0,
        "mlp_factor_num": 16,
        "mlp_batch_size": 2048,
        "mlp_epochs": 3,
        "mlp_lr": 0.004,
        "mlp_dropout": 0.1,
    },
    "neumf-recent": {
        **_GMF,
        "architecture": "neumf-recent",
        "ease_factor_num": 192,
        "ease_l2": 300.0,
    },
    "ease": {"architecture": "ease", "refit": True},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--preset` and a flag for each hyperparameter."""
    group = parser.add_argument_group("hyperparameters")
    group.add_argument("--preset", choices=PRESETS, default="lotteon", help="values of the flags not given")
    add_flags(group, Hyperparameters, sagemaker=True)


def from_arguments(arguments: argparse.Namespace) -> Hyperparameters:
    """The preset, overridden by the flags given.

    Raises:
        SettingError: a value is out of its range.
    """
    values: dict[str, Any] = {**PRESETS[arguments.preset], **given_flags(Hyperparameters, arguments)}
    return Hyperparameters(**values)


def parse(argv: Sequence[str]) -> Hyperparameters:
    """Hyperparameters of a command line that holds nothing else."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    return from_arguments(parser.parse_args(argv))
