"""vCPUs and memory of the SageMaker instance types that endpoints use.

Both follow from the name, as for EC2: the family determines the memory per vCPU, the size the number of vCPUs
(EC2 user guide, "Instance type specifications"; SageMaker's types are EC2's with the prefix `ml.`). Graviton
types are not included, because the containers are built for x86-64.
"""

import re
from dataclasses import dataclass
from typing import Optional

GIB_PER_VCPU = {"c": 2, "m": 4, "r": 8}
NAME = re.compile(r"ml\.(?P<letter>[cmr])(?P<generation>[5-7])(?P<variant>a|i|d|n|id|ad|dn)?\.(?P<size>\w+)")
VCPUS = {"large": 2, "xlarge": 4}


@dataclass(frozen=True)
class ServingInstance:
    """vCPUs and memory of an instance type."""

    vcpus: int
    memory_mib: int


def serving_instance(name: str) -> Optional[ServingInstance]:
    """The instance type of this name; None if its size is not known here."""
    found = NAME.fullmatch(name)
    if found is None:
        return None
    size = found["size"]
    multiple = re.fullmatch(r"(\d+)xlarge", size)
    vcpus = 4 * int(multiple.group(1)) if multiple else VCPUS.get(size)
    if vcpus is None:
        return None
    return ServingInstance(vcpus, vcpus * GIB_PER_VCPU[found["letter"]] * 1024)
