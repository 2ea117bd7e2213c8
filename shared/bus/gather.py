"""How do many small publishers share one write? While one flush is under way the next one fills."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import NamedTuple

import structlog

from shared.bus.protocol import Outgoing
from shared.failures import Retry

_log = structlog.get_logger(__name__)

Flush = Callable[[str, list[Outgoing]], Awaitable[None]]


class Size(NamedTuple):
    """How much some records are."""

    records: int = 0
    bytes: int = 0

    def plus(self, other: "Size") -> "Size":
        return Size(self.records + other.records, self.bytes + other.bytes)

    def minus(self, other: "Size") -> "Size":
        return Size(self.records - other.records, self.bytes - other.bytes)


MOST = Size(50_000, 64 * 1024 * 1024)


class _Share(NamedTuple):
    """What one publisher waits for."""

    records: Sequence[Outgoing]
    size: Size
    done: asyncio.Future[None]


def size_of(records: Sequence[Outgoing]) -> Size:
    """How much these records are."""
    return Size(len(records), sum(map(len, chain.from_iterable(records))))


class Gather:
    """Group commit: `publish` returns when the flush that holds its records has succeeded.

    `most` bounds the records waiting, and their bytes: beyond it, Retry at once, before memory grows. `patience` is how
    many seconds a publisher waits; after that Retry, and the records may or may not be in the log.
    """

    def __init__(self, flush: Flush, most: Size = MOST, patience: float = 15.0) -> None:
        self._flush = flush
        self._most = most
        self._patience = patience
        self._waiting: dict[str, list[_Share]] = {}
        self._held = Size()
        self._running: set[asyncio.Task[None]] = set()

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Wait until these records are durable. Raises Retry when they may not be."""
        size = size_of(records)
        held = self._held.plus(size)
        if self._held.records and (held.records > self._most.records or held.bytes > self._most.bytes):
            raise Retry("too much is waiting to be written")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._held = held
        first = topic not in self._waiting
        self._waiting.setdefault(topic, []).append(_Share(records, size, done))
        if first:
            task = asyncio.create_task(self._drain(topic))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        late = loop.call_later(self._patience, _settle, done, Retry("the log does not answer"))
        try:
            await done
        finally:
            late.cancel()

    async def close(self) -> None:
        """Let what is under way end."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _drain(self, topic: str) -> None:
        while self._waiting[topic]:
            share, self._waiting[topic] = self._waiting[topic], []
            error = await self._attempt(topic, [record for one in share for record in one.records])
            for one in share:
                self._held = self._held.minus(one.size)
                _settle(one.done, error)
        del self._waiting[topic]

    async def _attempt(self, topic: str, records: list[Outgoing]) -> Exception | None:
        try:
            await self._flush(topic, records)
        except Exception as error:  # noqa: BLE001  whatever it is, every publisher of this flush must hear of it
            return error if isinstance(error, Retry) else _unsaid(error)
        return None


def _unsaid(error: Exception) -> Retry:
    """Its inside, statements and parameters, belongs in our log and not in a client's answer."""
    _log.error("publish_failed", error=repr(error))
    return Retry("the log did not take it")


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
        done.exception()  # the publisher may have given up waiting: nobody need retrieve it
