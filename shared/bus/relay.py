"""How do the rows of our log reach Kafka? In order, by one relay at a time; repeating itself after a crash is harmless.

Each record carries its offset in our log, so that readers drop what they have seen and notice what is missing.
"""

import asyncio
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Row, delete, or_, select, update

from shared.bus.blocks import decoded
from shared.bus.kafka_producer import KafkaSender
from shared.bus.outgoing import Wakes, soon
from shared.bus.protocol import Partition
from shared.bus.tables import log_block, log_end, relay_lease
from shared.clock import Clock
from shared.contracts.topics import USAGE
from shared.db.protocol import Database, Tx

_LEASE = timedelta(seconds=10)
_IDLE = 1.0
_BLOCKS = 20


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

    async def run(self) -> None:
        """For ever: carry what is there, then wait for news. Raises Retry when Kafka does not answer."""
        while True:
            with self._wakes.listening() as news:
                if not await self.carry():
                    await soon(news, _IDLE)

    async def carry(self) -> int:
        """One pass over every partition: the number of blocks carried. Zero without the lease."""
        lease = await self._lease()
        if lease is None:
            return 0
        async with self._database.snapshot() as read:
            behind = await read.all(select(log_end).where(log_end.c.carried_off < log_end.c.next_off))
        return sum(await asyncio.gather(*(self._carry(lease, row) for row in behind)))

    async def _carry(self, lease: Lease, end: Row[tuple[object, ...]]) -> int:
        block = log_block.c
        async with self._database.snapshot() as read:
            rows = await read.all(
                select(block.base_off, block.count, block.block)
                .where(block.topic == end.topic, block.part == end.part, block.base_off >= end.carried_off)
                .order_by(block.base_off)
                .limit(_BLOCKS)
            )
        if rows:
            records = [record for row in rows for record in decoded(row.block)]
            await self._sender.send(Partition(end.topic, end.part), records, rows[0].base_off)
            await self._record(lease, end.topic, end.part, rows[0].base_off + len(records))
        return len(rows)

    async def _record(self, lease: Lease, topic: str, part: int, carried: int) -> None:
        async with self._database.transaction() as tx:
            if not await self._renewed(tx, lease):
                return
            here = (log_end.c.topic == topic, log_end.c.part == part)
            await tx.run(update(log_end).where(*here).values(carried_off=carried))
            if topic != USAGE.name:  # usage.v1 stays: it is the archive
                block = log_block.c
                await tx.run(
                    delete(log_block).where(block.topic == topic, block.part == part, block.base_off < carried)
                )

    async def _lease(self) -> Lease | None:
        now = self._clock.now()
        row = relay_lease.c
        async with self._database.transaction() as tx:
            fresh = {"name": self._name, "epoch": 0, "owner": self._owner, "until": now}
            await tx.insert_new(relay_lease, [fresh])
            free = or_(row.owner == self._owner, row.until <= now)
            taken = update(relay_lease).where(row.name == self._name, free)
            values = {"owner": self._owner, "until": now + _LEASE, "epoch": row.epoch + 1}
            epoch = await tx.scalar(taken.values(values).returning(row.epoch))
        return None if epoch is None else Lease(self._name, epoch)

    async def _renewed(self, tx: Tx, lease: Lease) -> bool:
        row = relay_lease.c
        mine = update(relay_lease).where(row.name == lease.name, row.epoch == lease.epoch)
        return await tx.run(mine.values(until=self._clock.now() + _LEASE)) == 1
