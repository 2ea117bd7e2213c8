"""Relay: sends the rows of our outbox to Kafka, in order, one relay at a time; repeating itself after a crash is harmless.

Each record carries its offset in our log, so that readers drop what they have seen and notice what is missing.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import bindparam, or_, select, update

from shared.bus.kafka import KafkaProducer
from shared.bus.outbox import AppendNotifier, decode_block, wait_at_most
from shared.bus.protocol import Partition
from shared.bus.tables import READ_BYTES, bytes_before, log_block, log_end, relay_lease
from shared.clock import Clock
from shared.db.protocol import Database, Tx

_LEASE = timedelta(seconds=10)
_RENEW_AFTER = timedelta(seconds=3)
_IDLE_SECONDS = 1.0
_MAX_RECORDS = 20_000
"""Of a partition in one pass; in bytes, READ_BYTES."""
_e, _b = log_end.c, log_block.c
_SIZES = (
    select(
        _b.topic,
        _b.partition,
        _b.base_offset,
        bytes_before(partition_by=[_b.topic, _b.partition], order_by=_b.base_offset).label("bytes_before"),
    )
    .join(log_end, (_e.topic == _b.topic) & (_e.partition == _b.partition))
    .where(_e.relayed_offset < _e.next_offset, _b.base_offset >= _e.relayed_offset)
    .where(_b.base_offset < _e.relayed_offset + _MAX_RECORDS)
    .subquery("sizes")
)
_s = _SIZES.c
_PENDING = (
    select(_b.topic, _b.partition, _b.base_offset, _b.block)
    .join(_SIZES, (_s.topic == _b.topic) & (_s.partition == _b.partition) & (_s.base_offset == _b.base_offset))
    .where(_s.bytes_before < READ_BYTES)
    .order_by(_b.topic, _b.partition, _b.base_offset)
)
_RELAYED = (
    update(log_end)
    .where(_e.topic == bindparam("in_topic"), _e.partition == bindparam("in_partition"))
    .values(relayed_offset=bindparam("end"))
)


class Lease(NamedTuple):
    """The right to relay. The epoch, not the time, fences an old holder."""

    service: str
    epoch: int


class PendingBlock(NamedTuple):
    """A block of the outbox that Kafka does not have yet; the columns of `_PENDING`."""

    topic: str
    partition: int
    base_offset: int
    block: bytes


class Relay:
    """Relays one service's outbox. `owner` names this process."""

    def __init__(
        self,
        service: str,
        database: Database,
        producer: KafkaProducer,
        notifier: AppendNotifier,
        clock: Clock,
        owner: str,
    ) -> None:
        self._service = service
        self._database = database
        self._producer = producer
        self._notifier = notifier
        self._clock = clock
        self._owner = owner
        self._lease: Lease | None = None
        self._renewed_at = clock.now()

    async def run(self) -> None:
        """For ever: relay what is there, then wait for more. Raises Retry when Kafka does not answer."""
        while True:
            with self._notifier.listening() as appended:
                if not await self.relay_pending():
                    await wait_at_most(appended, _IDLE_SECONDS)

    async def relay_pending(self) -> int:
        """One pass over every partition: the number of blocks relayed. Zero without the lease."""
        lease = self._lease if self._lease is not None and self._is_fresh() else await self._acquire()
        if lease is None:
            return 0
        async with self._database.snapshot() as read:
            blocks = [PendingBlock._make(row) for row in await read.all(_PENDING)]
        pending = {tp: list(some) for tp, some in groupby(blocks, lambda one: Partition(one.topic, one.partition))}
        sent = await asyncio.gather(*(self._send(tp, some) for tp, some in pending.items()), return_exceptions=True)
        if blocks:
            await self._record(lease, {tp: end for tp, end in zip(pending, sent, strict=True) if isinstance(end, int)})
        for failed in sent:
            if isinstance(failed, BaseException):
                raise failed
        return len(blocks)

    async def _send(self, partition: Partition, blocks: Sequence[PendingBlock]) -> int:
        """Send a partition's blocks; the offset after them."""
        records = [record for one in blocks for record in decode_block(one.block)]
        await self._producer.send(partition, records, blocks[0].base_offset)
        return blocks[0].base_offset + len(records)

    async def _record(self, lease: Lease, ends: dict[Partition, int]) -> None:
        """Store how far we are, for all partitions in one transaction; in the order in which writers lock them."""
        async with self._database.transaction() as tx:
            self._renewed_at = self._clock.now()
            if not await _extend_lease(tx, lease, self._renewed_at + _LEASE):
                self._lease = None
                return
            for (topic, number), end in sorted(ends.items()):
                values = {"in_topic": topic, "in_partition": number, "end": end}
                await tx.run(_RELAYED, values)  # the rows stay: they are the archive

    async def release(self) -> None:
        """Give the lease back, if we have it: another relay continues at once."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        async with self._database.transaction() as tx:
            await _extend_lease(tx, lease, self._clock.now())

    def _is_fresh(self) -> bool:
        return self._renewed_at <= self._clock.now() < self._renewed_at + _RENEW_AFTER

    async def _acquire(self) -> Lease | None:
        now = self._renewed_at = self._clock.now()
        row = relay_lease.c
        async with self._database.transaction() as tx:
            new = {"service": self._service, "epoch": 0, "owner": self._owner, "expires_at": now}
            await tx.insert_new(relay_lease, [new])
            free = or_(row.owner == self._owner, row.expires_at <= now)
            acquire = update(relay_lease).where(row.service == self._service, free)
            values = {"owner": self._owner, "expires_at": now + _LEASE, "epoch": row.epoch + 1}
            epoch = await tx.scalar(acquire.values(values).returning(row.epoch))
        self._lease = None if epoch is None else Lease(self._service, epoch)
        return self._lease


async def _extend_lease(tx: Tx, lease: Lease, until: datetime) -> bool:
    """Whether it is still ours, and lasts until then."""
    row = relay_lease.c
    ours = update(relay_lease).where(row.service == lease.service, row.epoch == lease.epoch)
    return await tx.run(ours.values(expires_at=until)) == 1
