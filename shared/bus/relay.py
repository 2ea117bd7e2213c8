"""How do the rows of our log reach Kafka? In order, by one relay at a time; repeating itself after a crash is harmless.

Each record carries its offset in our log, so that readers drop what they have seen and notice what is missing.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, delete, or_, select, update

from shared.bus.blocks import decoded
from shared.bus.kafka_producer import KafkaSender
from shared.bus.outgoing import Wakes, soon
from shared.bus.protocol import Partition
from shared.bus.tables import AT_ONCE_BYTES, bytes_before, log_block, log_end, relay_lease
from shared.clock import Clock
from shared.contracts.topics import USAGE
from shared.db.protocol import Database, Tx

_LEASE = timedelta(seconds=10)
_RENEW = timedelta(seconds=3)
_IDLE = 1.0
_AT_ONCE = 20_000
"""Most records of a partition in one pass; in bytes, AT_ONCE_BYTES."""
_end, _block = log_end.c, log_block.c
_HERE = (_end.topic == _block.topic) & (_end.part == _block.part)
_SIZES = (
    select(
        _block.topic,
        _block.part,
        _block.base_off,
        bytes_before(partition_by=[_block.topic, _block.part], order_by=_block.base_off).label("bytes_before"),
    )
    .join(log_end, _HERE)
    .where(_end.carried_off < _end.next_off, _block.base_off >= _end.carried_off)
    .where(_block.base_off < _end.carried_off + _AT_ONCE)
    .subquery("sizes")
)
_size = _SIZES.c
_WAITING = (
    select(_block.topic, _block.part, _block.base_off, _block.block)
    .join(_SIZES, (_size.topic == _block.topic) & (_size.part == _block.part) & (_size.base_off == _block.base_off))
    .where(_size.bytes_before < AT_ONCE_BYTES)
    .order_by(_block.topic, _block.part, _block.base_off)
)
_CARRIED = (
    update(log_end)
    .where(_end.topic == bindparam("in_topic"), _end.part == bindparam("in_part"))
    .values(carried_off=bindparam("end"))
)
_DONE = delete(log_block).where(
    _block.topic == bindparam("in_topic"), _block.part == bindparam("in_part"), _block.base_off < bindparam("end")
)


class Lease(NamedTuple):
    """The right to carry. The epoch, not the time, fences an old holder."""

    name: str
    epoch: int


class Relay:
    """Carries one service's log. `owner` names this process."""

    def __init__(
        self, name: str, database: Database, sender: KafkaSender, wakes: Wakes, clock: Clock, owner: str
    ) -> None:
        self._name = name
        self._database = database
        self._sender = sender
        self._wakes = wakes
        self._clock = clock
        self._owner = owner
        self._lease: Lease | None = None
        self._renewed_at = clock.now()

    async def run(self) -> None:
        """For ever: carry what is there, then wait for news. Raises Retry when Kafka does not answer."""
        while True:
            with self._wakes.listening() as news:
                if not await self.carry():
                    await soon(news, _IDLE)

    async def carry(self) -> int:
        """One pass over every partition: the number of blocks carried. Zero without the lease."""
        lease = self._lease if self._lease is not None and self._fresh() else await self._taken()
        if lease is None:
            return 0
        async with self._database.snapshot() as read:
            rows = await read.all(_WAITING)
        waiting = {tp: list(blocks) for tp, blocks in groupby(rows, lambda row: Partition(row.topic, row.part))}
        sent = await asyncio.gather(*(self._send(*one) for one in waiting.items()), return_exceptions=True)
        if rows:
            await self._record(lease, {tp: end for tp, end in zip(waiting, sent, strict=True) if isinstance(end, int)})
        for failed in sent:
            if isinstance(failed, BaseException):
                raise failed
        return len(rows)

    async def _send(self, partition: Partition, rows: Sequence[Row[Any]]) -> int:
        records = [record for row in rows for record in decoded(row.block)]
        await self._sender.send(partition, records, rows[0].base_off)
        return int(rows[0].base_off) + len(records)

    async def _record(self, lease: Lease, carried: dict[Partition, int]) -> None:
        """How far we are, for all partitions in one transaction; in the order in which writers lock them."""
        async with self._database.transaction() as tx:
            self._renewed_at = self._clock.now()
            if not await _held_until(tx, lease, self._renewed_at + _LEASE):
                self._lease = None
                return
            for (topic, part), end in sorted(carried.items()):
                here = {"in_topic": topic, "in_part": part, "end": end}
                await tx.run(_CARRIED, here)
                if topic != USAGE.name:  # usage.v1 stays: it is the archive
                    await tx.run(_DONE, here)

    async def release(self) -> None:
        """Give the lease back, if we have it: another relay goes on at once."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        async with self._database.transaction() as tx:
            await _held_until(tx, lease, self._clock.now())

    def _fresh(self) -> bool:
        return self._renewed_at <= self._clock.now() < self._renewed_at + _RENEW

    async def _taken(self) -> Lease | None:
        now = self._renewed_at = self._clock.now()
        row = relay_lease.c
        async with self._database.transaction() as tx:
            fresh = {"name": self._name, "epoch": 0, "owner": self._owner, "until": now}
            await tx.insert_new(relay_lease, [fresh])
            free = or_(row.owner == self._owner, row.until <= now)
            taken = update(relay_lease).where(row.name == self._name, free)
            values = {"owner": self._owner, "until": now + _LEASE, "epoch": row.epoch + 1}
            epoch = await tx.scalar(taken.values(values).returning(row.epoch))
        self._lease = None if epoch is None else Lease(self._name, epoch)
        return self._lease


async def _held_until(tx: Tx, lease: Lease, until: datetime) -> bool:
    """Whether it is still ours, and held until then."""
    row = relay_lease.c
    mine = update(relay_lease).where(row.name == lease.name, row.epoch == lease.epoch)
    return await tx.run(mine.values(until=until)) == 1
