"""What does a log promise? Order for a key, replay from an offset, and nothing forgotten that was published."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

import msgspec


class Partition(NamedTuple):
    """One ordered piece of a topic."""

    topic: str
    part: int


class Outgoing(NamedTuple):
    """A record to publish: its key decides the partition; `meta` is what the transport knows of it, JSON or empty."""

    key: bytes
    value: bytes
    meta: bytes = b""


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as read. `seq` is its place in its producer's own log (-1: the producer keeps none).

    `timestamp` is when the log took it, in milliseconds since 1970.
    """

    offset: int
    seq: int
    timestamp: int
    key: bytes
    value: bytes
    meta: bytes


class Batch(NamedTuple):
    """Consecutive records of one partition, never empty. The next one starts at `end`."""

    partition: Partition
    records: Sequence[Record]

    @property
    def start(self) -> int:
        return self.records[0].offset

    @property
    def end(self) -> int:
        return self.records[-1].offset + 1


class Bounds(NamedTuple):
    """Where a partition begins and ends now: the offsets of its oldest record and of the next one to come."""

    begin: int
    end: int


class RebalanceListener(Protocol):
    """Who reads: told which partitions it got, and says where to start. Its own cursor decides, not the log's."""

    async def on_assigned(self, partitions: dict[Partition, Bounds]) -> dict[Partition, int]: ...

    async def on_revoked(self, partitions: set[Partition]) -> None: ...


class Reader(Protocol):
    """A member of a group, reading its share of the partitions."""

    async def poll(self, limit: int, wait: float) -> list[Batch]:
        """What is there, at most `limit` records of a partition; waits up to `wait` seconds for the first."""
        ...

    def seek(self, partition: Partition, offset: int) -> None:
        """Read on from there."""
        ...

    async def position(self, partition: Partition) -> int | None:
        """What it reads next; None when it does not know."""
        ...

    async def hint(self, positions: dict[Partition, int]) -> None:
        """Tell the log how far we are, for lag dashboards only: nothing rests on it, and failing is harmless."""
        ...


class Bus(Protocol):
    """A log."""

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        ...

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
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

    async def close(self) -> None: ...
