"""The stage's training settings, as the build gets them: one JSON object, checked field by field."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

Approval = Literal["automatic", "manual"]
Scalar = str | int | float

GATED_METRICS = ("hr_at_10", "ndcg_at_10")
MAX_RUNTIME_S = 5 * 24 * 3600  # SageMaker quotas: a training job runs five days at most
MAX_SPOT_WAIT_FACTOR = 2  # how long a spot job may wait, in multiples of its own time limit

_INSTANCE_TYPE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")
_PY_VERSION = re.compile(r"py\d{2,3}")
_HYPERPARAMETER = re.compile(r"[a-z][a-z0-9_]*")


class SettingsError(ValueError):
    """A setting is missing or wrong; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """One number for each metric that the gate looks at."""

    hr_at_10: float
    ndcg_at_10: float


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The stage's training section, as ``NCF_TRAINING`` carries it: one JSON object with these keys.

    Every key is required and no other is accepted::

        {"instance_type": "ml.m5.xlarge", "evaluation_instance_type": "ml.m5.xlarge",
         "serving_instance_type": "ml.m5.large", "volume_gib": 30, "max_runtime_s": 7200,
         "use_spot": true, "framework_version": "2.6.0", "py_version": "py312",
         "hyperparameters": {"epochs": 10, "lr": 0.001},
         "floors": {"hr_at_10": 0.5, "ndcg_at_10": 0.25},
         "tolerance": {"hr_at_10": 0.01, "ndcg_at_10": 0.01},
         "approval": "automatic", "tags": {"Owner": "recommendation", "Service": "ncf"}}

    ``framework_version`` and ``py_version`` choose AWS's PyTorch images for training and serving.
    A candidate passes the gate when each metric is at least its floor, and no more than the
    tolerance below the champion's. NCF trains on one host, so there is no instance count.
    """

    instance_type: str
    evaluation_instance_type: str
    serving_instance_type: str
    volume_gib: int
    max_runtime_s: int
    use_spot: bool
    framework_version: str
    py_version: str
    hyperparameters: Mapping[str, Scalar]
    floors: Thresholds
    tolerance: Thresholds
    approval: Approval
    tags: Mapping[str, str]

    def __post_init__(self) -> None:
        for name in ("instance_type", "evaluation_instance_type", "serving_instance_type"):
            _check_text(name, getattr(self, name), _INSTANCE_TYPE, "a SageMaker type such as ml.m5.xlarge")
        _check_text("framework_version", self.framework_version, _VERSION, "a version such as 2.6.0")
        _check_text("py_version", self.py_version, _PY_VERSION, "a Python such as py312")
        _check_int("volume_gib", self.volume_gib, 1, 16384)
        _check_int("max_runtime_s", self.max_runtime_s, 60, MAX_RUNTIME_S)
        if not isinstance(self.use_spot, bool):
            raise SettingsError(f"use_spot is {self.use_spot!r}: write true or false")
        if self.approval not in get_args(Approval):
            raise SettingsError(f"approval is {self.approval!r}: write automatic or manual")
        for key, value in _mapping("hyperparameters", self.hyperparameters).items():
            _check_text("a hyperparameter's name", key, _HYPERPARAMETER, "lower-case letters, digits and _")
            if isinstance(value, bool) or not isinstance(value, Scalar):
                raise SettingsError(f"hyperparameters.{key} is {value!r}: write a number or a text")
            if isinstance(value, float) and not math.isfinite(value):
                raise SettingsError(f"hyperparameters.{key} is {value!r}: write a finite number")
        for key, value in _mapping("tags", self.tags).items():
            if not isinstance(value, str):
                raise SettingsError(f"tags.{key} is {value!r}: write a text")

    @classmethod
    def from_json(cls, text: str) -> TrainingSettings:
        """The settings of a JSON object.

        Raises:
            SettingsError: not JSON, a key missing or unknown, or a value out of its range.
        """
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise SettingsError(f"not JSON ({error})") from None
        _check_keys("", document, [field.name for field in fields(cls)])
        document["floors"] = _thresholds("floors", document["floors"])
        document["tolerance"] = _thresholds("tolerance", document["tolerance"])
        return cls(**document)


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{name} is {value!r}: write an object")
    return value


def _check_keys(name: str, document: Any, expected: list[str]) -> None:
    where = f"{name}." if name else ""
    keys = set(_mapping(name or "the value", document))
    for key in sorted(keys - set(expected)):
        raise SettingsError(f"{where}{key} is not known: write {', '.join(expected)}")
    for key in expected:
        if key not in keys:
            raise SettingsError(f"{where}{key} is missing")


def _thresholds(name: str, document: Any) -> Thresholds:
    _check_keys(name, document, list(GATED_METRICS))
    for metric, value in document.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise SettingsError(f"{name}.{metric} is {value!r}: write a number from 0 to 1")
    return Thresholds(**{metric: float(document[metric]) for metric in GATED_METRICS})


def _check_text(name: str, value: Any, pattern: re.Pattern[str], example: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise SettingsError(f"{name} is {value!r}: write {example}")


def _check_int(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingsError(f"{name} is {value!r}: write a whole number from {low} to {high}")
