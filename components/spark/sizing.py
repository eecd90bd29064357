"""Spark's settings, sized from the nodes that it may get.

Sources: EMR's default YARN memory ("Task configuration" of the EMR release guide: m5.xlarge 12,288 MiB,
r5.xlarge 24,576, m5.4xlarge 57,344, m5.8xlarge 122,880), the rule of three to five cores an executor with one
vCPU left to the node's daemons ("Best practices for successfully managing memory for Apache Spark
applications on Amazon EMR", AWS Big Data blog), and EMR's own overhead factor of 18.75 % of the heap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.spark.instance_types import InstanceType

MIB_PER_GIB = 1024
MAX_RESERVED_GIB = 8  # what EMR keeps from YARN: a quarter of the node, and never more
DAEMON_VCPUS = 1
MAX_EXECUTOR_CORES, MIN_EXECUTOR_CORES = 5, 3
OVERHEAD_FACTOR = 0.1875
MIN_OVERHEAD_MIB = 384  # Spark 3.5 configuration, spark.executor.memoryOverhead
MIN_DRIVER_GIB, MAX_DRIVER_GIB, DRIVER_SHARE = 2, 8, 8
MIN_EXECUTOR_GIB = 2
TASKS_PER_CORE = 2
MIN_SHUFFLE_PARTITIONS = 200  # Spark's default
BROADCAST_LIMIT = "64m"  # a map of a million users: cheaper to send around than to shuffle their events


@dataclass(frozen=True)
class Container:
    """What one of Spark's processes asks of YARN, in MiB."""

    heap_mib: int
    overhead_mib: int
    cores: int

    @property
    def memory_mib(self) -> int:
        """The whole container."""
        return self.heap_mib + self.overhead_mib


@dataclass(frozen=True)
class Sizing:
    """Executors and driver that fit every node of a cluster.

    Args:
        executor: one executor.
        driver: the driver, which finds room beside the executors of any node.
        max_executors: how many there are when the cluster has grown to its limit.
        shuffle_partitions: two tasks for each core of that cluster; Spark joins those that are small.
    """

    executor: Container
    driver: Container
    max_executors: int
    shuffle_partitions: int

    def properties(self) -> dict[str, str]:
        """As ``spark-defaults`` of EMR."""
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
            # Small partitions are joined to a size that is worth a task, not to one a core.
            "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
            "spark.sql.autoBroadcastJoinThreshold": BROADCAST_LIMIT,
            "spark.sql.shuffle.partitions": str(self.shuffle_partitions),
        }


def yarn_memory_gib(node: InstanceType) -> int:
    """What EMR gives to YARN of a node's memory."""
    return node.memory_gib - min(MAX_RESERVED_GIB, node.memory_gib // 4)


def size(nodes: Sequence[InstanceType], max_vcpus: int) -> Sizing:
    """The settings for a cluster whose core and task nodes may be of any of these types.

    The smallest node decides: all executors of a Spark application are alike.

    Args:
        nodes: the types, at least one.
        max_vcpus: of all core and task nodes together, at most.

    Raises:
        ValueError: a node is too small for the driver beside one executor.
    """
    cores = min(_executor_cores(node.vcpus) for node in nodes)
    driver_gib = min(max(min(map(yarn_memory_gib, nodes)) // DRIVER_SHARE, MIN_DRIVER_GIB), MAX_DRIVER_GIB)
    executor_gib = min(
        (yarn_memory_gib(node) - driver_gib) // ((node.vcpus - DAEMON_VCPUS) // cores) for node in nodes
    )
    if executor_gib < MIN_EXECUTOR_GIB:
        tightest = min(nodes, key=lambda node: yarn_memory_gib(node) / node.vcpus)
        raise ValueError(
            f"{tightest.name} leaves {executor_gib} GiB to an executor beside the driver, "
            f"which is less than {MIN_EXECUTOR_GIB}: write a type with more memory"
        )
    max_executors = max(max_vcpus * ((node.vcpus - DAEMON_VCPUS) // cores) // node.vcpus for node in nodes)
    return Sizing(
        executor=_container(executor_gib, cores),
        driver=_container(driver_gib, 1),
        max_executors=max(max_executors, 1),
        shuffle_partitions=max(MIN_SHUFFLE_PARTITIONS, TASKS_PER_CORE * cores * max_executors),
    )


def _executor_cores(vcpus: int) -> int:
    """Three to five cores an executor, whichever leaves the fewest idle; the more, if it is all the same."""
    usable = vcpus - DAEMON_VCPUS
    choices = range(min(MIN_EXECUTOR_CORES, usable), min(MAX_EXECUTOR_CORES, usable) + 1)
    return max(choices, key=lambda cores: (usable // cores * cores, cores))


def _container(memory_gib: int, cores: int) -> Container:
    """Whole GiB, which no scheduler rounds up: the heap, and 18.75 % of it for all else."""
    memory_mib = memory_gib * MIB_PER_GIB
    overhead_mib = max(MIN_OVERHEAD_MIB, memory_mib - int(memory_mib / (1 + OVERHEAD_FACTOR)))
    return Container(memory_mib - overhead_mib, overhead_mib, cores)
