"""How does a group read? Only partitions it has claimed, only what comes next there, batch by batch into one handler."""

import asyncio
from collections.abc import Sequence

from shared.bus.protocol import Batch, Bus, Partition, Reader
from shared.clock import Clock
from shared.contracts.topics import Topic
from shared.db.protocol import Database
from shared.service.claims import Claims, Fenced, foreign, unbroken
from shared.service.cursor import Claim
from shared.service.footing import Footing
from shared.service.handling import Handle, Handling, Incoming
from shared.service.unpacking import Decode

__all__ = ["Handle", "Incoming", "Passage"]
_PACE = 0.15
"""Seconds from one look to the next: what comes meanwhile shares a transaction. After a silence nothing waits."""

_HINT = 5.0


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
        self._handling = Handling(group, topics, handle, database, clock, decode)
        self._bus = bus
        self._limit = limit
        self._footing = Footing()
        self.idle = False
        """Whether the last look found nothing new: only then may time run ahead of the messages."""

    @property
    def handled(self) -> int:
        """Messages handled since the process started."""
        return self._handling.handled

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
        return sum([await self._handling.again(one) for one in ids])

    async def _take(self, reader: Reader, batch: Batch) -> None:
        """Any failure but Fenced ends the run, and with it the claims: the next one asks the database where we are."""
        claim = self.claims.held().get(batch.partition)
        if claim is None or not await self._is_next(reader, batch, claim):
            return
        try:
            self.claims.moved(batch.partition, await self._handling.take(batch, claim))
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

    async def _resync(self, reader: Reader, partition: Partition) -> None:
        claim = await self.claims.resync(partition)
        if claim is not None:
            reader.seek(partition, claim.start)
