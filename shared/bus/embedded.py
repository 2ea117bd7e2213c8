"""The log as rows of the same database: nothing else to install, and the readers see exactly what was committed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import bindparam, func, select

from shared.bus.blocks import by_partition, decoded
from shared.bus.gather import Gather
from shared.bus.outgoing import OutgoingLog, soon
from shared.bus.protocol import Batch, Bounds, Outgoing, Partition, Reader, RebalanceListener, Record
from shared.bus.tables import AT_ONCE_BYTES, bytes_before, log_block, log_end
from shared.db.protocol import Database, Read

_block = log_block.c
_HERE = (_block.topic == bindparam("in_topic"), _block.part == bindparam("in_part"))
_HOLDING = select(func.max(_block.base_off)).where(*_HERE, _block.base_off <= bindparam("at")).scalar_subquery()
_RANGE = (*_HERE, _block.base_off >= func.coalesce(_HOLDING, bindparam("at")), _block.base_off < bindparam("before"))
_SIZES = (
    select(_block.base_off, bytes_before(order_by=_block.base_off).label("bytes_before"))
    .where(*_RANGE)
    .subquery("sizes")
)
_FROM = (
    select(_block.base_off, _block.block, _block.appended_at)
    .join(_SIZES, _SIZES.c.base_off == _block.base_off)
    .where(*_HERE, _SIZES.c.bytes_before < AT_ONCE_BYTES)
    .order_by(_block.base_off)
)


class EmbeddedBus:
    """One process reads and writes: every member of a group is this one, and owns every partition."""

    def __init__(self, database: Database, log: OutgoingLog, parts: int) -> None:
        self._database = database
        self._log = log
        self._partitions = parts
        self._gather = Gather(self._write)

    def partitions(self, topic: str) -> int:  # noqa: ARG002  all alike here
        return self._partitions

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        await self._gather.publish(topic, records)

    @asynccontextmanager
    async def reader(self, group: str, topics: Sequence[str], listener: RebalanceListener) -> AsyncIterator[Reader]:  # noqa: ARG002
        bounds = await self.bounds(topics)
        yield EmbeddedReader(self._database, self._log, await listener.on_assigned(bounds))
        await listener.on_revoked(set(bounds))

    async def bounds(self, topics: Sequence[str]) -> dict[Partition, Bounds]:
        async with self._database.snapshot() as read:
            ends = await read.all(select(log_end).where(log_end.c.topic.in_(topics)))
            begins = await read.all(
                select(log_block.c.topic, log_block.c.part, func.min(log_block.c.base_off).label("begin"))
                .where(log_block.c.topic.in_(topics))
                .group_by(log_block.c.topic, log_block.c.part)
            )
        end = {Partition(row.topic, row.part): row.next_off for row in ends}
        begin = {Partition(row.topic, row.part): row.begin for row in begins}
        every = (Partition(topic, part) for topic in topics for part in range(self._partitions))
        return {tp: Bounds(begin.get(tp, end.get(tp, 0)), end.get(tp, 0)) for tp in every}

    async def close(self) -> None:
        await self._gather.close()

    async def _write(self, topic: str, records: list[Outgoing]) -> None:
        async with self._database.transaction() as tx:
            shares = by_partition(records, self._partitions)
            await self._log.append_records(tx, {(topic, part): share for part, share in shares.items()})
        self._log.appended({topic})


class EmbeddedReader:
    """Reads whole blocks, partition by partition."""

    def __init__(self, database: Database, log: OutgoingLog, positions: dict[Partition, int]) -> None:
        self._database = database
        self._log = log
        self._positions = positions

    async def poll(self, limit: int, wait: float) -> list[Batch]:
        with self._log.wakes.listening({partition.topic for partition in self._positions}) as news:
            found = await self._read(limit)
            if not found:
                await soon(news, wait)
                found = await self._read(limit)
        return found

    def seek(self, partition: Partition, offset: int) -> None:
        self._positions[partition] = offset

    async def position(self, partition: Partition) -> int | None:
        return self._positions.get(partition)

    async def hint(self, positions: dict[Partition, int]) -> None:
        """Nobody looks here but we."""

    async def _read(self, limit: int) -> list[Batch]:
        found = []
        async with self._database.snapshot() as read:
            for partition, position in list(self._positions.items()):
                records = await _records(read, partition, position, limit)
                if records:
                    found.append(Batch(partition, records))
        for batch in found:
            self._positions[batch.partition] = batch.end
        return found


async def _records(read: Read, partition: Partition, position: int, limit: int) -> list[Record]:
    here = {"in_topic": partition.topic, "in_part": partition.part, "at": position, "before": position + limit}
    return [
        record
        for row in await read.all(_FROM, here)
        for record in _unpacked(row.base_off, row.block, int(row.appended_at.timestamp() * 1000))
        if record.offset >= position
    ]


def _unpacked(base: int, block: bytes, timestamp: int) -> list[Record]:
    return [
        Record(offset, offset, timestamp, key, value, meta)
        for offset, (key, value, meta) in enumerate(decoded(block), base)
    ]
