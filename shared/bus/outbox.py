"""Outbox: messages become rows of the log in the transaction that caused them. Readers read them there, or a relay sends them on.

A row is a block: many records stored as one value, a MessagePack array of (key, value, meta) compressed with LZ4.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress

import cramjam
import msgspec
from sqlalchemy import bindparam, select, tuple_, update

from shared.bus.producer import group_by_partition, size_of
from shared.bus.protocol import Partition, ProducerRecord
from shared.bus.tables import log_block, log_end
from shared.clock import Clock
from shared.contracts.topics import KeyedMessage
from shared.db.protocol import Emitted, Tx

MAX_RECORDS = 1000
"""Of one block: small enough that a reader's batch can be cut between blocks."""

MAX_BYTES = 1024 * 1024
"""Of one block, before compression, unless one record alone has more."""

_encode_records = msgspec.msgpack.Encoder().encode
_decode_records = msgspec.msgpack.Decoder(list[ProducerRecord]).decode


def encode_block(records: list[ProducerRecord]) -> bytes:
    """The block of these records."""
    return bytes(cramjam.lz4.compress_block(_encode_records(records)))


def decode_block(block: bytes) -> list[ProducerRecord]:
    """The records of this block."""
    return _decode_records(bytes(cramjam.lz4.decompress_block(block)))


def split(records: list[ProducerRecord]) -> Iterator[list[ProducerRecord]]:
    """Pieces of at most MAX_RECORDS records and MAX_BYTES bytes (or a single record that is larger), in order."""
    if len(records) <= MAX_RECORDS and size_of(records).bytes <= MAX_BYTES:
        if records:
            yield records
        return
    piece: list[ProducerRecord] = []
    size = 0
    for record in records:
        more = len(record.key) + len(record.value) + len(record.meta)
        if piece and (len(piece) == MAX_RECORDS or size + more > MAX_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(record)
        size += more
    if piece:
        yield piece


_encode = msgspec.json.Encoder().encode
_e = log_end.c
_ENDS = select(_e.topic, _e.partition, _e.next_offset).order_by(_e.topic, _e.partition).with_for_update()
_RESERVE = (
    update(log_end)
    .where(_e.topic == bindparam("in_topic"), _e.partition == bindparam("in_partition"))
    .values(next_offset=bindparam("until"))
)


class AppendNotifier:
    """Wakes those in this process who wait for records to be appended."""

    def __init__(self) -> None:
        self._listening: dict[asyncio.Event, Collection[str] | None] = {}

    def notify(self, topics: set[str]) -> None:
        for event, wanted in self._listening.items():
            if wanted is None or not topics.isdisjoint(wanted):
                event.set()

    @contextmanager
    def listening(self, topics: Collection[str] | None = None) -> Iterator[asyncio.Event]:
        """An event set by an append to these topics (None: any) from now on: listen first, look, then wait."""
        event = asyncio.Event()
        self._listening[event] = topics
        try:
            yield event
        finally:
            del self._listening[event]


async def wait_at_most(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, at most so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class LogOutbox:
    """The outbox over `log_block`. Offsets of a partition are contiguous, in the order of the commits."""

    def __init__(self, partitions: Callable[[str], int], clock: Clock) -> None:
        self._partitions = partitions
        self._clock = clock
        self.notifier = AppendNotifier()

    async def append(self, tx: Tx, emitted: list[Emitted]) -> None:
        """Write the messages' rows."""
        grouped: dict[Partition, list[ProducerRecord]] = {}
        for topic, messages in emitted:
            by_number = group_by_partition(_records(messages), self._partitions(topic.name))
            for number, records in by_number.items():
                grouped.setdefault(Partition(topic.name, number), []).extend(records)
        if grouped:
            await self.append_records(tx, grouped)

    async def append_records(self, tx: Tx, grouped: dict[Partition, list[ProducerRecord]]) -> None:
        """Write these records, however many partitions they are of, with one reservation and one insert."""
        starts, now = await _reserve_offsets(tx, grouped), self._clock.now()
        rows = []
        for partition, start in starts.items():
            base = start
            for piece in split(grouped[partition]):
                rows.append(
                    {
                        "topic": partition.topic,
                        "partition": partition.number,
                        "base_offset": base,
                        "record_count": len(piece),
                        "block": encode_block(piece),
                        "appended_at": now,
                    }
                )
                base += len(piece)
        await tx.insert(log_block, rows)

    def appended(self, topics: set[str]) -> None:
        if topics:
            self.notifier.notify(topics)


async def _reserve_offsets(tx: Tx, grouped: dict[Partition, list[ProducerRecord]]) -> dict[Partition, int]:
    """The first new offset of each partition; its row stays locked until the transaction ends.

    Rows are locked in the order of their names, so that two writers cannot wait for each other.
    """
    ends = await _lock_ends(tx, grouped)
    if missing := sorted(grouped.keys() - ends.keys()):
        new = [
            {"topic": topic, "partition": number, "next_offset": 0, "relayed_offset": 0} for topic, number in missing
        ]
        await tx.insert_new(log_end, new)
        ends = await _lock_ends(tx, grouped)
    reserved = [
        {"in_topic": partition.topic, "in_partition": partition.number, "until": end + len(grouped[partition])}
        for partition, end in ends.items()
    ]
    await tx.each(_RESERVE, reserved)
    return ends


async def _lock_ends(tx: Tx, partitions: Collection[Partition]) -> dict[Partition, int]:
    rows = await tx.all(_ENDS.where(tuple_(_e.topic, _e.partition).in_(sorted(partitions))))
    return {Partition(row.topic, row.partition): row.next_offset for row in rows}


def _records(messages: Iterable[KeyedMessage]) -> Iterable[ProducerRecord]:
    return (ProducerRecord(message.account.encode(), _encode(message)) for message in messages)
