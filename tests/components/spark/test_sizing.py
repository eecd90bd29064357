"""Executor and driver sizes fit the nodes of the cluster."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.spark.instance_types import FAMILIES, InstanceType, instance_type
from components.spark.sizing import DAEMON_VCPUS, Sizing, size, yarn_memory_gib

NAMES = sorted(f"{family}.{size}" for family, sizes in FAMILIES.items() for size in sizes)


@pytest.mark.parametrize(
    ("name", "memory_mib"),
    [  # EMR release guide, "Task configuration": yarn.nodemanager.resource.memory-mb
        ("m5.xlarge", 12_288),
        ("m5.2xlarge", 24_576),
        ("m5.4xlarge", 57_344),
        ("m5.12xlarge", 188_416),
        ("r5.xlarge", 24_576),
        ("r5.2xlarge", 57_344),
        ("r5.4xlarge", 122_880),
    ],
)
def test_yarn_memory_matches_emr(name: str, memory_mib: int) -> None:
    assert yarn_memory_gib(instance_type(name)) * 1024 == memory_mib


def test_cluster_of_the_blog_post_has_one_executor_per_node() -> None:
    sizing = size([instance_type("r5.xlarge")], max_vcpus=16)
    assert sizing.properties() == {
        "spark.driver.cores": "1",
        "spark.driver.memory": "2586m",
        "spark.driver.memoryOverhead": "486m",
        "spark.executor.cores": "3",
        "spark.executor.memory": "18108m",
        "spark.executor.memoryOverhead": "3396m",
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.minExecutors": "1",
        "spark.dynamicAllocation.maxExecutors": "4",
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
        "spark.sql.autoBroadcastJoinThreshold": "64m",
        "spark.sql.shuffle.partitions": "200",
    }


def sized(names: list[str], max_vcpus: int) -> Sizing:
    return size([instance_type(name) for name in names], max_vcpus)


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5), st.integers(4, 2000))
def test_driver_and_executors_fit_every_node(names: list[str], max_vcpus: int) -> None:
    sizing = sized(names, max_vcpus)
    for node in map(instance_type, names):
        n_executors = (node.vcpus - DAEMON_VCPUS) // sizing.executor.cores
        assert n_executors >= 1
        used_mib = n_executors * sizing.executor.memory_mib + sizing.driver.memory_mib
        assert used_mib <= yarn_memory_gib(node) * 1024
        assert n_executors * sizing.executor.cores + sizing.driver.cores <= node.vcpus


@given(st.sampled_from(NAMES), st.integers(1, 20))
def test_cluster_at_maximum_capacity_uses_all_nodes_and_cores(name: str, n_nodes: int) -> None:
    node = instance_type(name)
    sizing = sized([name], n_nodes * node.vcpus)
    assert sizing.max_executors == n_nodes * ((node.vcpus - DAEMON_VCPUS) // sizing.executor.cores)
    assert sizing.shuffle_partitions >= 2 * sizing.max_executors * sizing.executor.cores


@given(st.sampled_from(NAMES))
def test_single_type_leaves_at_most_two_cores_unused(name: str) -> None:
    node, sizing = instance_type(name), sized([name], 64)
    usable = node.vcpus - DAEMON_VCPUS
    assert usable - usable // sizing.executor.cores * sizing.executor.cores <= 2


@given(st.sampled_from(NAMES))
def test_containers_are_whole_gib(name: str) -> None:
    sizing = sized([name], 64)
    assert sizing.executor.memory_mib % 1024 == sizing.driver.memory_mib % 1024 == 0
    assert sizing.executor.overhead_mib >= 384


def test_node_too_small_for_driver_and_executor_is_refused() -> None:
    with pytest.raises(ValueError, match="tiny leaves 1 GiB for an executor after the driver"):
        size([InstanceType("tiny", 4, 4), instance_type("r5.xlarge")], 16)
