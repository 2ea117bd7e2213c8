"""How do many small publishers share one write? While one flush is under way the next one fills."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from shared.bus.protocol import Outgoing
from shared.failures import Retry

_log = structlog.get_logger(__name__)

Flush = Callable[[str, list[Outgoing]], Awaitable[None]]


def size_of(records: Iterable[Outgoing]) -> int:
    """How many bytes these records hold."""
    return sum(len(record.key) + len(record.value) + len(record.meta) for record in records)


class Gather:
    """Group commit: `publish` returns when the flush that holds its records has succeeded.

    `most` bounds the records waiting, `most_bytes` what they hold: beyond either, Retry at once, before memory grows.
    `patience` is how many seconds a publisher waits; after that Retry, and the records may or may not be in the log.
    """

    def __init__(
        self, flush: Flush, most: int = 50_000, patience: float = 15.0, most_bytes: int = 64 * 1024 * 1024
    ) -> None:
        self._flush = flush
        self._most = most
        self._most_bytes = most_bytes
        self._patience = patience
        self._waiting: dict[str, list[tuple[Sequence[Outgoing], asyncio.Future[None]]]] = {}
        self._count = 0
        self._bytes = 0
        self._running: set[asyncio.Task[None]] = set()

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Wait until these records are durable. Raises Retry when they may not be."""
        size = size_of(records)
        if self._count and (self._count + len(records) > self._most or self._bytes + size > self._most_bytes):
            raise Retry("too much is waiting to be written")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += len(records)
        self._bytes += size
        first = topic not in self._waiting
        self._waiting.setdefault(topic, []).append((records, done))
        if first:
            task = asyncio.create_task(self._drain(topic))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        try:
            await asyncio.wait_for(asyncio.shield(done), self._patience)
        except TimeoutError:
            raise Retry("the log does not answer") from None

    async def close(self) -> None:
        """Let what is under way end."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _drain(self, topic: str) -> None:
        while self._waiting[topic]:
            share, self._waiting[topic] = self._waiting[topic], []
            records = [record for some, _ in share for record in some]
            error = await self._attempt(topic, records)
            self._count -= len(records)
            self._bytes -= size_of(records)
            for _, done in share:
                _settle(done, error)
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
