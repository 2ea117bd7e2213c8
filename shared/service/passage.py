"""What happens to one batch of messages? Claimed, decoded, handled and recorded in one transaction, exactly once.

A batch is how we read and write, never how we decide. Whatever fails rolls back cursor and effects together.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import structlog

from shared.bus.protocol import Batch, Bus, Partition, Reader
from shared.clock import Clock
from shared.contracts.topics import Topic
from shared.db.failing import is_infrastructure
from shared.db.protocol import Database, Tx
from shared.failures import Halted, Parked
from shared.service import cursor
from shared.service.claims import Claims, Fenced, foreign, unbroken
from shared.service.cursor import Claim
from shared.service.footing import Footing
from shared.service.parking import Unfit, park, record_of, take_back
from shared.service.unpacking import Decode, Unpacker, contract

_log = structlog.get_logger(__name__)
_IN_A_ROW = 50
_ATTEMPTS = 3
_PACE = 0.15
"""Seconds from one look to the next: what comes meanwhile shares a transaction. After a silence nothing waits."""

_HINT = 5.0


class Incoming(NamedTuple):
    """One batch for a handler: decoded messages of one partition, which holds every message of its accounts.

    `start` is the offset the batch began at: with `part` a name of the batch that no other committed batch has.
    """

    topic: Topic
    part: int
    start: int
    messages: Sequence[Any]


Handle = Callable[[Tx, Incoming], Awaitable[None]]


class Passage:
    """One group reading some topics into one handler, at most `limit` records at a time; `decode` unless by contract."""

    def __init__(
        self,
        group: str,
        topics: Sequence[Topic],
        handle: Handle,
        bus: Bus,
        database: Database,
        clock: Clock,
        owner: str,
        limit: int = 5000,
        decode: Decode | None = None,
    ) -> None:
        self.group = group
        self.topics = {topic.name: topic for topic in topics}
        self.claims = Claims(group, database, clock, owner)
        self._unpackers = {topic.name: Unpacker(decode or contract(topic)) for topic in topics}
        self._handle = handle
        self._bus = bus
        self._database = database
        self._clock = clock
        self._limit = limit
        self._footing = Footing()
        self._failed_in_a_row = 0
        self.handled = 0
        self.idle = False
        """Whether the last look found nothing new: only then may time run ahead of the messages."""

    async def run(self) -> None:
        """Read for ever. Raises Retry when the world fails, Halted when going on would lose something."""
        try:
            async with self._bus.reader(self.group, list(self.topics), self.claims) as reader:
                await self._read(reader)
        finally:
            self.idle = False
            self.claims.ended()

    async def _read(self, reader: Reader) -> None:
        now = asyncio.get_running_loop().time
        hinted = now()
        while True:
            began = now()
            batches = await reader.poll(self._limit, 0.5)
            self.idle = not batches
            for batch in batches:
                async with self.claims.lock(batch.partition):
                    await self._take(reader, batch)
            if began - hinted > _HINT:
                await reader.hint({partition: claim.next_off for partition, claim in self.claims.held().items()})
                hinted = began
            await asyncio.sleep(began + _PACE - now())

    async def redrive(self, ids: Sequence[str]) -> int:
        """Handle parked records of this group again, each in a transaction of its own; those that fail stay parked."""
        return sum([await self._again(one) for one in ids])

    async def _again(self, parked_id: str) -> int:
        try:
            async with self._database.transaction() as tx:
                for row in await take_back(tx, self.group, [parked_id], self._clock.now()):
                    message = self._unpackers[row.topic].message(record_of(row))
                    await self._handle(tx, Incoming(self.topics[row.topic], row.part, ~row.off, [message]))
                    return 1
        except Exception as error:
            if is_infrastructure(error):
                raise
            _log.warning("still_parked", group=self.group, id=parked_id, error=repr(error))
        return 0

    async def _take(self, reader: Reader, batch: Batch) -> None:
        """Any failure but Fenced ends the run, and with it the claims: the next one asks the database where we are."""
        claim = self.claims.held().get(batch.partition)
        if claim is None or not await self._is_next(reader, batch, claim):
            return
        try:
            self.claims.moved(batch.partition, await self._pass(batch, claim))
        except Fenced:
            await self._resync(reader, batch.partition)

    async def _is_next(self, reader: Reader, batch: Batch, claim: Claim) -> bool:
        """Offsets may skip where a transactional producer left its markers, but not because the log lost its start."""
        step = self._footing.step(batch, claim)
        if step == "foreign":
            raise foreign(self.group, batch.partition, claim)
        if step == "astray":
            reader.seek(batch.partition, claim.start)
        elif step == "gap":
            bounds = await self._bus.bounds([batch.partition.topic])
            unbroken(self.group, batch.partition, claim, bounds[batch.partition])
        return step != "astray" and batch.end > claim.next_off

    async def _pass(self, batch: Batch, claim: Claim, attempt: int = 1) -> Claim:
        """Commit this batch from `claim` on; where the handler fails on it, find the record that is at fault."""
        try:
            return await self._commit(batch, claim)
        except Fenced:
            raise
        except Exception as error:
            if is_infrastructure(error) or isinstance(error, Halted):
                raise
            if len(batch.records) > 1:
                return await self._halves(batch, claim)
            if attempt < _ATTEMPTS:
                return await self._pass(batch, claim, attempt + 1)
            return await self._park(batch, claim, error)

    async def _halves(self, batch: Batch, claim: Claim) -> Claim:
        middle = len(batch.records) // 2
        claim = await self._pass(Batch(batch.partition, batch.records[:middle]), claim)
        return await self._pass(Batch(batch.partition, batch.records[middle:]), claim)

    async def _park(self, batch: Batch, claim: Claim, error: Exception) -> Claim:
        """Leave this one record to a person; too many in a row mean that not the records are at fault."""
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _IN_A_ROW:
            raise Halted(f"{self.group}: {_IN_A_ROW} records in a row failed, the last with {error!r}") from error
        _log.error("record_parked", group=self.group, partition=batch.partition, offset=batch.start, error=repr(error))
        why = error if isinstance(error, Parked) else Parked(repr(error), "handler_failed")
        return await self._commit(batch, claim, Unfit(batch.records[0], why))

    async def _commit(self, batch: Batch, claim: Claim, parked: Unfit | None = None) -> Claim:
        """The one transaction. With `parked` its only record is kept aside instead of handled."""
        partition, now = batch.partition, self._clock.now()
        messages, unfit, after = self._unpackers[partition.topic].unpack(batch, claim)
        if parked is not None:
            messages, unfit = [], [parked]
        async with self._database.transaction() as tx:
            if not await cursor.move(tx, self.group, partition, claim, after, now):
                raise Fenced
            await park(tx, self.group, partition, unfit, now)
            if messages:
                await self._handle(tx, Incoming(self.topics[partition.topic], partition.part, claim.next_off, messages))
        self.handled += len(messages)
        self._failed_in_a_row = 0 if messages else self._failed_in_a_row
        return after

    async def _resync(self, reader: Reader, partition: Partition) -> None:
        claim = await self.claims.resync(partition)
        if claim is not None:
            reader.seek(partition, claim.start)
