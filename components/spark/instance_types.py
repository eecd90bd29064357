"""vCPUs and memory of the EC2 instance types that Spark clusters may use.

Both follow from the name: the family determines the memory per vCPU, the size the number of vCPUs (EC2 user
guide, "Amazon EC2 instance types"). Only x86-64 families that EMR 7 supports are included, because the job's
third-party packages are built for x86-64.
"""

from __future__ import annotations

from dataclasses import dataclass

GIB_PER_VCPU = {"c": 2, "m": 4, "r": 8}
COMMON_SIZES = {"xlarge": 4, "2xlarge": 8, "4xlarge": 16}
SIZES = {**COMMON_SIZES, "8xlarge": 32, "12xlarge": 48, "16xlarge": 64, "24xlarge": 96}
C5_SIZES = {**COMMON_SIZES, "9xlarge": 36, "12xlarge": 48, "18xlarge": 72, "24xlarge": 96}
GENERATION_5 = ("m5", "m5a", "m5d", "r5", "r5a", "r5b", "r5d", "r5n")
GENERATIONS_6_AND_7 = tuple(
    f"{letter}{generation}" for letter in "cmr" for generation in ("6a", "6i", "7a", "7i")
)
FAMILIES = {
    **dict.fromkeys((*GENERATION_5, *GENERATIONS_6_AND_7), SIZES),
    **dict.fromkeys(("c5", "c5d"), C5_SIZES),
}
"""Family to size to vCPUs."""


@dataclass(frozen=True)
class InstanceType:
    """An EC2 instance type."""

    name: str
    vcpus: int
    memory_gib: int


def instance_type(name: str) -> InstanceType:
    """The instance type of this name.

    Raises:
        ValueError: the type is unknown, or has a Graviton (arm64) processor.
    """
    family, _, size = name.partition(".")
    if _is_arm(family):
        raise ValueError(
            f"{name} has a Graviton processor, but the job's packages are built for x86-64: "
            f"write {_intel_equivalent(name)}"
        )
    if family not in FAMILIES:
        raise ValueError(f"{name}: unknown family; write one of {', '.join(sorted(FAMILIES))}")
    if size not in FAMILIES[family]:
        raise ValueError(f"{name}: unknown size; {family} has {', '.join(FAMILIES[family])}")
    vcpus = FAMILIES[family][size]
    return InstanceType(name, vcpus, vcpus * GIB_PER_VCPU[family[0]])


def _is_arm(family: str) -> bool:
    """Whether a family has Graviton processors: a ``g`` after the generation, as in m6g, r7gd or c6gn."""
    return len(family) > 2 and family[1].isdigit() and family[2] == "g"


def _intel_equivalent(name: str) -> str:
    """The type of the same size with an Intel processor, or the families to choose from."""
    family, _, size = name.partition(".")
    intel = f"{family[:2]}i"
    return f"{intel}.{size}" if size in FAMILIES.get(intel, {}) else "one of m6i, r6i or c6i"
