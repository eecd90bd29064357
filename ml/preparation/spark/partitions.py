"""Partitions of Spark's hash partitioner, computed without Spark."""

from __future__ import annotations

_SEED = 42  # of Spark's hash partitioning
_MASK = 0xFFFFFFFF


def integers_by_partition(n_partitions: int) -> list[int]:
    """For each partition, the smallest integer that ``repartition(n_partitions, column)`` assigns to it.

    Args:
        n_partitions: number of partitions.

    Returns:
        One int32 per partition, from 0, each usable as a value of an int column.
    """
    found: dict[int, int] = {}
    number = 0
    while len(found) < n_partitions:
        found.setdefault(_hash(number) % n_partitions, number)
        number += 1
    return [found[each] for each in range(n_partitions)]


def _hash(number: int) -> int:
    """MurmurHash3 (x86, 32 bits) of the four bytes of an int32, as a signed integer."""
    mixed = _rotate_left(number * 0xCC9E2D51 & _MASK, 15) * 0x1B873593 & _MASK
    value = _rotate_left(_SEED ^ mixed, 13) * 5 + 0xE6546B64 & _MASK
    value ^= 4  # the number of bytes
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    value ^= value >> 16
    return value - (1 << 32) if value >> 31 else value


def _rotate_left(value: int, n_bits: int) -> int:
    return (value << n_bits | value >> 32 - n_bits) & _MASK
