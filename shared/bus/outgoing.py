"""How does a message become part of the log? As rows of the transaction that caused it: an outbox is a log waiting to be carried."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress

import msgspec
from sqlalchemy import bindparam, select, tuple_, update

from shared.bus.blocks import by_partition, cut, encoded
from shared.bus.protocol import Outgoing
from shared.bus.tables import log_block, log_end
from shared.clock import Clock
from shared.contracts.topics import Keyed
from shared.db.protocol import Emitted, Tx

_encode = msgspec.json.Encoder().encode
Shares = dict[tuple[str, int], list[Outgoing]]
"""The records of each partition, by topic and number."""
_e = log_end.c
_ENDS = select(_e.topic, _e.part, _e.next_off).order_by(_e.topic, _e.part).with_for_update()
_RESERVE = (
    update(log_end)
    .where(_e.topic == bindparam("in_topic"), _e.part == bindparam("in_part"))
    .values(next_off=bindparam("until"))
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
        """Write the messages' rows."""
        shares: Shares = {}
        for topic, messages in emitted:
            split = by_partition(_records(messages), self._partitions(topic.name))
            for part, records in split.items():
                shares.setdefault((topic.name, part), []).extend(records)
        if shares:
            await self.append_records(tx, shares)

    async def append_records(self, tx: Tx, shares: Shares) -> None:
        """Write these rows, however many partitions they are of, with one reservation and one insert."""
        starts, now = await _reserve(tx, shares), self._clock.now()
        rows = []
        for (topic, part), start in starts.items():
            base = start
            for piece in cut(shares[topic, part]):
                rows.append(
                    {
                        "topic": topic,
                        "part": part,
                        "base_off": base,
                        "count": len(piece),
                        "block": encoded(piece),
                        "appended_at": now,
                    }
                )
                base += len(piece)
        await tx.insert(log_block, rows)

    def appended(self, topics: set[str]) -> None:
        if topics:
            self.wakes.ring(topics)


async def _reserve(tx: Tx, shares: Shares) -> dict[tuple[str, int], int]:
    """The first new offset of each partition; its row stays locked until the transaction ends.

    Rows are locked in the order of their names, so that two writers cannot wait for each other.
    """
    found = await _ends(tx, shares)
    if missing := sorted(shares.keys() - found.keys()):
        fresh = [{"topic": topic, "part": part, "next_off": 0, "carried_off": 0} for topic, part in missing]
        await tx.insert_new(log_end, fresh)
        found = await _ends(tx, shares)
    until = [
        {"in_topic": topic, "in_part": part, "until": start + len(shares[topic, part])}
        for (topic, part), start in found.items()
    ]
    await tx.each(_RESERVE, until)
    return found


async def _ends(tx: Tx, shares: Shares) -> dict[tuple[str, int], int]:
    rows = await tx.all(_ENDS.where(tuple_(_e.topic, _e.part).in_(sorted(shares))))
    return {(row.topic, row.part): row.next_off for row in rows}


def _records(messages: Iterable[Keyed]) -> Iterable[Outgoing]:
    return (Outgoing(message.account.encode(), _encode(message)) for message in messages)
