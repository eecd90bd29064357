"""Executor and driver sizes of a Spark application, computed from the cluster's instance types.

Sources: EMR's default YARN memory ("Task configuration" of the EMR release guide: m5.xlarge 12,288 MiB,
r5.xlarge 24,576, m5.4xlarge 57,344, m5.8xlarge 122,880); three to five cores per executor and one vCPU per
node for daemons ("Best practices for successfully managing memory for Apache Spark applications on Amazon
EMR", AWS Big Data blog); EMR's default memory overhead of 18.75 % of the heap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.spark.instance_types import InstanceType

MIB_PER_GIB = 1024
MAX_RESERVED_GIB = 8  # EMR reserves a quarter of a node's memory, at most this
DAEMON_VCPUS = 1
MAX_EXECUTOR_CORES, MIN_EXECUTOR_CORES = 5, 3
OVERHEAD_FACTOR = 0.1875
MIN_OVERHEAD_MIB = 384  # Spark 3.5 configuration, spark.executor.memoryOverhead
MIN_DRIVER_GIB, MAX_DRIVER_GIB = 2, 8
DRIVER_SHARE = 8  # memory of the driver: an eighth of the smallest node's YARN memory
MIN_EXECUTOR_GIB = 2
TASKS_PER_CORE = 2
MIN_SHUFFLE_PARTITIONS = 200  # Spark's default
BROADCAST_LIMIT = "64m"  # about a million user ids: broadcasting them is cheaper than shuffling events


@dataclass(frozen=True)
class Container:
    """YARN container of an executor or of the driver."""

    heap_mib: int
    overhead_mib: int
    cores: int

    @property
    def memory_mib(self) -> int:
        """Memory of the container: heap and overhead."""
        return self.heap_mib + self.overhead_mib


@dataclass(frozen=True)
class Sizing:
    """Sizes of executors and driver that fit every node of a cluster.

    Attributes:
        executor: container of one executor.
        driver: container of the driver; it fits on any node together with that node's executors.
        max_executors: number of executors at the cluster's maximum capacity.
        shuffle_partitions: `TASKS_PER_CORE` per core at maximum capacity; adaptive execution coalesces
            small partitions.
    """

    executor: Container
    driver: Container
    max_executors: int
    shuffle_partitions: int

    def properties(self) -> dict[str, str]:
        """Properties of EMR's ``spark-defaults`` classification."""
        return {
            "spark.driver.cores": str(self.driver.cores),
            "spark.driver.memory": f"{self.driver.heap_mib}m",
            "spark.driver.memoryOverhead": f"{self.driver.overhead_mib}m",
            "spark.executor.cores": str(self.executor.cores),
            "spark.executor.memory": f"{self.executor.heap_mib}m",
            "spark.executor.memoryOverhead": f"{self.executor.overhead_mib}m",
            "spark.dynamicAllocation.enabled": "true",
            "spark.dynamicAllocation.minExecutors": "1",
            "spark.dynamicAllocation.maxExecutors": str(self.max_executors),
            "spark.sql.adaptive.enabled": "true",
            # Coalesce partitions to the advisory size instead of keeping one per core.
            "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
            "spark.sql.autoBroadcastJoinThreshold": BROADCAST_LIMIT,
            "spark.sql.shuffle.partitions": str(self.shuffle_partitions),
        }


def yarn_memory_gib(node: InstanceType) -> int:
    """Memory of a node that EMR allocates to YARN, in GiB."""
    return node.memory_gib - min(MAX_RESERVED_GIB, node.memory_gib // 4)


def size(nodes: Sequence[InstanceType], max_vcpus: int) -> Sizing:
    """Sizes for a cluster whose core and task nodes may have any of the given types.

    The smallest type determines them, because all executors of a Spark application have the same size.

    Args:
        nodes: instance types of core and task nodes, at least one.
        max_vcpus: maximum capacity of all core and task nodes together.

    Raises:
        ValueError: a type has too little memory for the driver and one executor.
    """
    cores = min(_executor_cores(node.vcpus) for node in nodes)
    driver_gib = min(max(min(map(yarn_memory_gib, nodes)) // DRIVER_SHARE, MIN_DRIVER_GIB), MAX_DRIVER_GIB)
    executor_gib = min(
        (yarn_memory_gib(node) - driver_gib) // ((node.vcpus - DAEMON_VCPUS) // cores) for node in nodes
    )
    if executor_gib < MIN_EXECUTOR_GIB:
        tightest = min(nodes, key=lambda node: yarn_memory_gib(node) / node.vcpus)
        raise ValueError(
            f"{tightest.name} leaves {executor_gib} GiB for an executor after the driver, "
            f"less than {MIN_EXECUTOR_GIB} GiB: write a type with more memory"
        )
    max_executors = max(max_vcpus * ((node.vcpus - DAEMON_VCPUS) // cores) // node.vcpus for node in nodes)
    return Sizing(
        executor=_container(executor_gib, cores),
        driver=_container(driver_gib, 1),
        max_executors=max(max_executors, 1),
        shuffle_partitions=max(MIN_SHUFFLE_PARTITIONS, TASKS_PER_CORE * cores * max_executors),
    )


def _executor_cores(vcpus: int) -> int:
    """Cores per executor, three to five: the number with the fewest unused cores, the largest on a tie."""
    usable = vcpus - DAEMON_VCPUS
    choices = range(min(MIN_EXECUTOR_CORES, usable), min(MAX_EXECUTOR_CORES, usable) + 1)
    return max(choices, key=lambda cores: (usable // cores * cores, cores))


def _container(memory_gib: int, cores: int) -> Container:
    """Container of this size, split into heap and overhead; YARN does not round whole GiB up."""
    memory_mib = memory_gib * MIB_PER_GIB
    overhead_mib = max(MIN_OVERHEAD_MIB, memory_mib - int(memory_mib / (1 + OVERHEAD_FACTOR)))
    return Container(memory_mib - overhead_mib, overhead_mib, cores)
