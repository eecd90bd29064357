"""Registry of model families."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml.ncf.model.base import ModelConfig, RankingModel
from ml.ncf.model.ease import EASE, EASEConfig
from ml.ncf.model.ease_factors import EASEFactors
from ml.ncf.model.ncf import NCF
from ml.ncf.model.recent import RecentConfig, RecentNCF
from ml.ncf.model.towers import NCFConfig

FAMILIES: dict[type[RankingModel], type[ModelConfig]] = {
    NCF: NCFConfig,
    RecentNCF: RecentConfig,
    EASE: EASEConfig,
}
DEFAULT_FAMILY = NCF.family  # of artifacts whose model.json has no field "family"


def family_of(architecture: str) -> type[RankingModel]:
    """The family that implements an architecture.

    Raises:
        ValueError: the architecture is unknown.
    """
    families: list[type[RankingModel]] = [*FAMILIES, EASEFactors]  # in an artifact, the latter is an NCF
    for family in families:
        if architecture in family.architectures:
            return family
    known = sorted(name for family in FAMILIES for name in family.architectures)
    raise ValueError(f"architecture is {architecture!r}: one of {', '.join(known)}")


def build(family_name: str, config: Mapping[str, Any]) -> RankingModel:
    """Build the model of a family from its configuration in model.json, without weights.

    Raises:
        ValueError: the family is unknown, or a size is out of its range.
        TypeError: the configuration has an unknown field.
    """
    for family, config_of in FAMILIES.items():
        if family.family == family_name:
            return family(config_of(**config))
    known = ", ".join(family.family for family in FAMILIES)
    raise ValueError(f"model family {family_name!r} is unknown; known are {known}")
