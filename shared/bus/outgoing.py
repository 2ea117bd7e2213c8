"""How does a message become part of the log? As rows of the transaction that caused it: an outbox is a log waiting to be carried."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress

import msgspec
from sqlalchemy import bindparam, update

from shared.bus.blocks import by_partition, cut, encoded
from shared.bus.protocol import Outgoing
from shared.bus.tables import log_block, log_end
from shared.clock import Clock
from shared.contracts.topics import Keyed
from shared.db.protocol import Tx
from shared.db.sending import Emitted

_encode = msgspec.json.Encoder().encode
_RESERVE = (
    update(log_end)
    .where(log_end.c.topic == bindparam("in_topic"), log_end.c.part == bindparam("in_part"))
    .values(next_off=log_end.c.next_off + bindparam("more"))
    .returning(log_end.c.next_off)
)


class Wakes:
    """Who waits for news of the log, in this process."""

    def __init__(self) -> None:
        self._listening: dict[asyncio.Event, Collection[str] | None] = {}

    def ring(self, topics: set[str]) -> None:
        for event, wanted in self._listening.items():
            if wanted is None or not topics.isdisjoint(wanted):
                event.set()

    @contextmanager
    def listening(self, topics: Collection[str] | None = None) -> Iterator[asyncio.Event]:
        """An event set by what is appended to these topics (None: any) from now on: listen first, look, then wait."""
        event = asyncio.Event()
        self._listening[event] = topics
        try:
            yield event
        finally:
            del self._listening[event]


async def soon(event: asyncio.Event, seconds: float) -> None:
    """Until the event, at most so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class OutgoingLog:
    """The log beside the state. Offsets of a partition are contiguous, in the order of the commits."""

    def __init__(self, partitions: Callable[[str], int], clock: Clock) -> None:
        self._partitions = partitions
        self._clock = clock
        self.wakes = Wakes()

    async def append(self, tx: Tx, emitted: list[Emitted]) -> None:
        """Write the messages' rows, partitions in order so that two writers cannot deadlock."""
        shares: dict[tuple[str, int], list[Outgoing]] = {}
        for topic, messages in emitted:
            split = by_partition(_records(messages), self._partitions(topic.name))
            for part, records in split.items():
                shares.setdefault((topic.name, part), []).extend(records)
        for topic_name, part in sorted(shares):
            await self.append_records(tx, topic_name, part, shares[topic_name, part])

    async def append_records(self, tx: Tx, topic: str, part: int, records: list[Outgoing]) -> None:
        """Write one partition's rows."""
        start = await _reserve(tx, topic, part, len(records))
        now = self._clock.now()
        rows = []
        for piece in cut(records):
            rows.append(
                {
                    "topic": topic,
                    "part": part,
                    "base_off": start,
                    "count": len(piece),
                    "block": encoded(piece),
                    "appended_at": now,
                }
            )
            start += len(piece)
        await tx.insert(log_block, rows)

    def appended(self, topics: set[str]) -> None:
        if topics:
            self.wakes.ring(topics)


async def _reserve(tx: Tx, topic: str, part: int, count: int) -> int:
    """The first of `count` new offsets; the row stays locked until the transaction ends."""
    here = {"in_topic": topic, "in_part": part, "more": count}
    end = await tx.scalar(_RESERVE, here)
    if end is None:
        await tx.insert_new(log_end, [{"topic": topic, "part": part, "next_off": 0, "carried_off": 0}])
        end = await tx.scalar(_RESERVE, here)
    return int(end) - count


def _records(messages: Iterable[Keyed]) -> Iterable[Outgoing]:
    return (Outgoing(message.account.encode(), _encode(message)) for message in messages)
