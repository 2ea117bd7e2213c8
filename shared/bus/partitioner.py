"""Which partition does a key belong to? Java's murmur2, as Kafka's own producers do, so that all producers agree."""

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=100_000)
def _hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of this key among that many."""
    return _hash(key) % partitions if partitions > 1 else 0
