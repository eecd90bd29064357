"""What the EC2 instance types have that the platform's Spark clusters may be made of.

Types are told by their name: a family has so much memory for each vCPU, a size so many vCPUs (EC2 user guide,
"Amazon EC2 instance types"). Only families of EMR 7 with x86-64 processors are known, because the job's
packages are built for those.
"""

from __future__ import annotations

from dataclasses import dataclass

GIB_PER_VCPU = {"c": 2, "m": 4, "r": 8}
SMALLER = {"xlarge": 4, "2xlarge": 8, "4xlarge": 16}
SIZES = {**SMALLER, "8xlarge": 32, "12xlarge": 48, "16xlarge": 64, "24xlarge": 96}
SIZES_OF_C5 = {**SMALLER, "9xlarge": 36, "12xlarge": 48, "18xlarge": 72, "24xlarge": 96}
FAMILIES_OF_5 = ("m5", "m5a", "m5d", "r5", "r5a", "r5b", "r5d", "r5n")
FAMILIES_SINCE_6 = tuple(f"{kind}{made}" for kind in "cmr" for made in ("6a", "6i", "7a", "7i"))
FAMILIES = {
    **dict.fromkeys((*FAMILIES_OF_5, *FAMILIES_SINCE_6), SIZES),
    **dict.fromkeys(("c5", "c5d"), SIZES_OF_C5),
}
"""Family to size to vCPUs."""


@dataclass(frozen=True)
class InstanceType:
    """One instance type."""

    name: str
    vcpus: int
    memory_gib: int


def instance_type(name: str) -> InstanceType:
    """What an instance type has, by its name.

    Raises:
        ValueError: it isn't known, or its processor is not the one that the job's packages are built for.
    """
    family, _, size = name.partition(".")
    if _is_arm(family):
        raise ValueError(
            f"{name} has a Graviton processor, and the job's packages are for x86-64: write {_twin(name)}"
        )
    if family not in FAMILIES:
        raise ValueError(f"{name}: no such family here; write one of {', '.join(sorted(FAMILIES))}")
    if size not in FAMILIES[family]:
        raise ValueError(f"{name}: no such size here; {family} has {', '.join(FAMILIES[family])}")
    vcpus = FAMILIES[family][size]
    return InstanceType(name, vcpus, vcpus * GIB_PER_VCPU[family[0]])


def _is_arm(family: str) -> bool:
    """Whether a family is of Graviton: a ``g`` after its generation, as m6g, r7gd or c6gn have."""
    return len(family) > 2 and family[1].isdigit() and family[2] == "g"


def _twin(name: str) -> str:
    """The type of the same size with an Intel processor, where there is one."""
    family, _, size = name.partition(".")
    twin = f"{family[:2]}i"
    return f"{twin}.{size}" if size in FAMILIES.get(twin, {}) else "one of m6i, r6i or c6i"
