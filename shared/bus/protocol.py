"""Log protocol: records in partitions, ordered for a key, replayable from an offset; producers, readers and rebalances."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

import msgspec


class Partition(NamedTuple):
    """One ordered partition of a topic."""

    topic: str
    number: int


class ProducerRecord(NamedTuple):
    """A record to publish: its key decides the partition; `meta` is the transport's metadata, JSON or empty."""

    key: bytes
    value: bytes
    meta: bytes = b""


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as read. `sequence` is its offset in its producer's own log (-1: the producer has none).

    `timestamp` is when the log appended it, in milliseconds since 1970.
    """

    offset: int
    sequence: int
    timestamp: int
    key: bytes
    value: bytes
    meta: bytes


class RecordBatch(NamedTuple):
    """Consecutive records of one partition, never empty. The next batch starts at `end`."""

    partition: Partition
    records: Sequence[Record]

    @property
    def start(self) -> int:
        return self.records[0].offset

    @property
    def end(self) -> int:
        return self.records[-1].offset + 1


class Bounds(NamedTuple):
    """The offsets of a partition's oldest record, and of the next one to be appended."""

    begin: int
    end: int


class RebalanceListener(Protocol):
    """The owner of a reader's partitions: learns of each rebalance and says where to start. The log's own offsets do not count."""

    async def on_assigned(self, partitions: dict[Partition, Bounds]) -> dict[Partition, int]: ...

    async def on_revoked(self, partitions: set[Partition]) -> None: ...


class Reader(Protocol):
    """A member of a consumer group, reading the partitions assigned to it."""

    async def poll(self, max_records: int, max_wait: float) -> list[RecordBatch]:
        """What is there, at most `max_records` of a partition; waits up to `max_wait` seconds for the first."""
        ...

    def seek(self, partition: Partition, offset: int) -> None:
        """Continue from there."""
        ...

    async def position(self, partition: Partition) -> int | None:
        """The offset it reads next; None when it does not know."""
        ...

    async def commit_hint(self, positions: dict[Partition, int]) -> None:
        """Commit offsets in the log, for lag dashboards only: nothing depends on them, and a failure is harmless."""
        ...


class Bus(Protocol):
    """A log."""

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        ...

    async def publish(self, topic: str, records: Sequence[ProducerRecord]) -> None:
        """Durable when it returns. Raises Retry when the log does not answer in time: it may or may not have them."""
        ...

    def reader(
        self, group: str, topics: Sequence[str], listener: RebalanceListener
    ) -> AbstractAsyncContextManager[Reader]:
        """Join the group."""
        ...

    async def bounds(self, topics: Sequence[str]) -> dict[Partition, Bounds]:
        """Where every partition of these topics begins and ends. Raises Retry when the log does not answer."""
        ...

    async def retention_problem(self) -> str:
        """Why records may be gone before their time; empty when they are kept. Raises Retry when the log does not answer."""
        ...

    async def close(self) -> None: ...
