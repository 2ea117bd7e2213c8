"""Embedded log: the bus over rows of the same database, with nothing else to install, and the retention of those rows."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy import bindparam, delete, func, select

from shared.bus.outbox import LogOutbox, decode_block, wait_at_most
from shared.bus.producer import GroupCommit, group_by_partition
from shared.bus.protocol import Bounds, Partition, ProducerRecord, Reader, RebalanceListener, Record, RecordBatch
from shared.bus.tables import READ_BYTES, bytes_before, consumer_cursor, log_block, log_end
from shared.clock import Clock
from shared.contracts.topics import ARCHIVED
from shared.db.protocol import Database, Read

RETENTION = timedelta(days=7)
_b = log_block.c
_IN_PARTITION = (_b.topic == bindparam("in_topic"), _b.partition == bindparam("in_partition"))
_CONTAINING = (
    select(func.max(_b.base_offset)).where(*_IN_PARTITION, _b.base_offset <= bindparam("start")).scalar_subquery()
)
_RANGE = (
    *_IN_PARTITION,
    _b.base_offset >= func.coalesce(_CONTAINING, bindparam("start")),
    _b.base_offset < bindparam("before"),
)
_SIZES = (
    select(_b.base_offset, bytes_before(order_by=_b.base_offset).label("bytes_before")).where(*_RANGE).subquery("sizes")
)
_READ_FROM = (
    select(_b.base_offset, _b.block, _b.appended_at)
    .join(_SIZES, _SIZES.c.base_offset == _b.base_offset)
    .where(*_IN_PARTITION, _SIZES.c.bytes_before < READ_BYTES)
    .order_by(_b.base_offset)
)


class EmbeddedBus:
    """One process reads and writes: it is the only member of every group, and owns every partition."""

    def __init__(self, database: Database, outbox: LogOutbox, partitions: int) -> None:
        self._database = database
        self._outbox = outbox
        self._partitions = partitions
        self._group_commit = GroupCommit(self._flush)

    def partitions(self, topic: str) -> int:  # noqa: ARG002  all alike here
        return self._partitions

    async def publish(self, topic: str, records: Sequence[ProducerRecord]) -> None:
        await self._group_commit.publish(topic, records)

    @asynccontextmanager
    async def reader(
        self,
        group: str,  # noqa: ARG002  each group reads everything
        topics: Sequence[str],
        listener: RebalanceListener,
    ) -> AsyncIterator[Reader]:
        bounds = await self.bounds(topics)
        yield EmbeddedReader(self._database, self._outbox, await listener.on_assigned(bounds))
        await listener.on_revoked(set(bounds))

    async def bounds(self, topics: Sequence[str]) -> dict[Partition, Bounds]:
        async with self._database.snapshot() as read:
            ends = await read.all(select(log_end).where(log_end.c.topic.in_(topics)))
            begins = await read.all(
                select(_b.topic, _b.partition, func.min(_b.base_offset).label("begin"))
                .where(_b.topic.in_(topics))
                .group_by(_b.topic, _b.partition)
            )
        end = {Partition(row.topic, row.partition): row.next_offset for row in ends}
        begin = {Partition(row.topic, row.partition): row.begin for row in begins}
        every = (Partition(topic, number) for topic in topics for number in range(self._partitions))
        return {tp: Bounds(begin.get(tp, end.get(tp, 0)), end.get(tp, 0)) for tp in every}

    async def retention_problem(self) -> str:
        """None: `LogRetention` alone deletes."""
        return ""

    async def close(self) -> None:
        await self._group_commit.close()

    async def _flush(self, topic: str, records: list[ProducerRecord]) -> None:
        async with self._database.transaction() as tx:
            grouped = group_by_partition(records, self._partitions)
            await self._outbox.append_records(tx, {Partition(topic, n): share for n, share in grouped.items()})
        self._outbox.appended({topic})


class EmbeddedReader:
    """Reads whole blocks, partition by partition."""

    def __init__(self, database: Database, outbox: LogOutbox, positions: dict[Partition, int]) -> None:
        self._database = database
        self._outbox = outbox
        self._positions = positions

    async def poll(self, max_records: int, max_wait: float) -> list[RecordBatch]:
        with self._outbox.notifier.listening({partition.topic for partition in self._positions}) as appended:
            found = await self._read(max_records)
            if not found:
                await wait_at_most(appended, max_wait)
                found = await self._read(max_records)
        return found

    def seek(self, partition: Partition, offset: int) -> None:
        self._positions[partition] = offset

    async def position(self, partition: Partition) -> int | None:
        return self._positions.get(partition)

    async def commit_hint(self, positions: dict[Partition, int]) -> None:
        """No dashboard reads this log but ours."""

    async def _read(self, max_records: int) -> list[RecordBatch]:
        found = []
        async with self._database.snapshot() as read:
            for partition, position in list(self._positions.items()):
                records = await _records_from(read, partition, position, max_records)
                if records:
                    found.append(RecordBatch(partition, records))
        for batch in found:
            self._positions[batch.partition] = batch.end
        return found


async def _records_from(read: Read, partition: Partition, position: int, max_records: int) -> list[Record]:
    values = {
        "in_topic": partition.topic,
        "in_partition": partition.number,
        "start": position,
        "before": position + max_records,
    }
    return [
        record
        for row in await read.all(_READ_FROM, values)
        for record in _records(row.base_offset, row.block, int(row.appended_at.timestamp() * 1000))
        if record.offset >= position
    ]


def _records(base: int, block: bytes, timestamp: int) -> list[Record]:
    return [
        Record(offset, offset, timestamp, key, value, meta)
        for offset, (key, value, meta) in enumerate(decode_block(block), base)
    ]


class LogRetention:
    """Deletes blocks older than a week that no group still has to read, except of the archive."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def delete_old_blocks(self) -> int:
        """One pass: the number of blocks deleted."""
        cursor = consumer_cursor.c
        passed = select(cursor.topic, cursor.partition, func.min(cursor.next_offset).label("floor"))
        async with self._database.snapshot() as read:
            floors = await read.all(
                passed.where(cursor.topic.not_in(sorted(ARCHIVED))).group_by(cursor.topic, cursor.partition)
            )
        return sum([await self._delete(Partition(row.topic, row.partition), row.floor) for row in floors])

    async def _delete(self, partition: Partition, floor: int) -> int:
        in_partition = (_b.topic == partition.topic, _b.partition == partition.number)
        old = _b.appended_at < self._clock.now() - RETENTION
        async with self._database.transaction() as tx:
            statement = delete(log_block).where(*in_partition, old, _b.base_offset + _b.record_count <= floor)
            return await tx.run(statement)
