"""Producer batching: the partitioner, and group commit, by which many small publishers share one write."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import structlog
from aiokafka.partitioner import murmur2

from shared.bus.protocol import ProducerRecord
from shared.failures import Retry

_log = structlog.get_logger(__name__)

Flush = Callable[[str, list[ProducerRecord]], Awaitable[None]]


@lru_cache(maxsize=100_000)
def _hash(key: bytes) -> int:
    """Java's murmur2, as in Kafka's own producers, so that all producers agree."""
    return int(murmur2(key)) & 0x7FFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of this key among that many."""
    return _hash(key) % partitions if partitions > 1 else 0


def group_by_partition(records: Iterable[ProducerRecord], partitions: int) -> dict[int, list[ProducerRecord]]:
    """The records of each partition, in order."""
    grouped: dict[int, list[ProducerRecord]] = defaultdict(list)
    for record in records:
        grouped[partition_of(record.key, partitions)].append(record)
    return grouped


class Size(NamedTuple):
    """A number of records, and of their bytes."""

    records: int = 0
    bytes: int = 0

    def plus(self, other: "Size") -> "Size":
        return Size(self.records + other.records, self.bytes + other.bytes)

    def minus(self, other: "Size") -> "Size":
        return Size(self.records - other.records, self.bytes - other.bytes)


MAX_PENDING = Size(50_000, 64 * 1024 * 1024)


def size_of(records: Sequence[ProducerRecord]) -> Size:
    """The size of these records."""
    return Size(len(records), sum(map(len, chain.from_iterable(records))))


class _Pending(NamedTuple):
    """The records that one publisher waits for."""

    records: Sequence[ProducerRecord]
    size: Size
    done: asyncio.Future[None]


class GroupCommit:
    """`publish` returns when the flush that contains its records has succeeded; while one flush runs the next one fills.

    `max_pending` bounds the records waiting, and their bytes: beyond it, Retry at once, before memory grows. `timeout` is
    how many seconds a publisher waits; after that Retry, and the records may or may not be in the log.
    """

    def __init__(self, flush: Flush, max_pending: Size = MAX_PENDING, timeout: float = 15.0) -> None:
        self._flush = flush
        self._max_pending = max_pending
        self._timeout = timeout
        self._pending: dict[str, list[_Pending]] = {}
        self._size = Size()
        self._tasks: set[asyncio.Task[None]] = set()

    async def publish(self, topic: str, records: Sequence[ProducerRecord]) -> None:
        """Wait until these records are durable. Raises Retry when they may not be."""
        size = size_of(records)
        total = self._size.plus(size)
        if self._size.records and (total.records > self._max_pending.records or total.bytes > self._max_pending.bytes):
            raise Retry("too much is waiting to be written")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._size = total
        first = topic not in self._pending
        self._pending.setdefault(topic, []).append(_Pending(records, size, done))
        if first:
            task = asyncio.create_task(self._drain(topic))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        timer = loop.call_later(self._timeout, _complete, done, Retry("the log does not answer"))
        try:
            await done
        finally:
            timer.cancel()

    async def close(self) -> None:
        """Wait for the flushes in progress."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _drain(self, topic: str) -> None:
        while self._pending[topic]:
            flushed, self._pending[topic] = self._pending[topic], []
            error = await self._try_flush(topic, [record for pending in flushed for record in pending.records])
            for pending in flushed:
                self._size = self._size.minus(pending.size)
                _complete(pending.done, error)
        del self._pending[topic]

    async def _try_flush(self, topic: str, records: list[ProducerRecord]) -> Exception | None:
        try:
            await self._flush(topic, records)
        except Exception as error:  # noqa: BLE001  whatever it is, every publisher of this flush must hear of it
            return error if isinstance(error, Retry) else _without_details(error)
        return None


def _without_details(error: Exception) -> Retry:
    """Its statements and parameters belong in our log and not in a client's answer."""
    _log.error("publish_failed", error=repr(error))
    return Retry("the log did not take it")


def _complete(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
        done.exception()  # the publisher may have given up waiting: nobody need retrieve it
