"""How does a group read? Only partitions it has claimed, only what comes next there, batch by batch into one handler."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from shared.bus.protocol import Batch, Bus, Partition, Reader
from shared.clock import Clock
from shared.contracts.topics import Topic
from shared.db.protocol import Database
from shared.failures import Halted, Retry
from shared.service.claims import Claims, Fenced, foreign, unbroken
from shared.service.cursor import Claim
from shared.service.footing import Footing
from shared.service.handling import Handle, Handling, Incoming
from shared.service.unpacking import Decode
from shared.service.watch import Watch

__all__ = ["USUAL", "Handle", "Incoming", "Look", "Passage"]
_HINT = 5.0
_PATIENCE = 30.0
_REBUILT = 3
"""How often a silent reader is replaced before somebody else has to help."""

GiveUp = Callable[[str], BaseException]


class Look(NamedTuple):
    """How a group looks: at most `limit` records of a partition share a transaction, and those that come within `pace` seconds do.

    Pace is latency given for fewer, larger transactions. It pays where single events come in; what a relay brings has
    been gathered already. Who has more at hand than one look takes waits for nothing.
    """

    limit: int = 5_000
    pace: float = 0.1


USUAL = Look()


class Passage:
    """One group reading some topics into one handler; `decode` unless by contract.

    A reader that is silent for `patience` seconds, while the log has more, is replaced; at the third time in a row what
    `give_up` makes of the reason is raised.
    """

    def __init__(
        self,
        group: str,
        topics: Sequence[Topic],
        handle: Handle,
        bus: Bus,
        database: Database,
        clock: Clock,
        owner: str,
        look: Look = USUAL,
        decode: Decode | None = None,
        patience: float = _PATIENCE,
        give_up: GiveUp = Halted,
    ) -> None:
        self.group = group
        self.topics = {topic.name: topic for topic in topics}
        self.claims = Claims(group, database, clock, owner)
        self._handling = Handling(group, topics, handle, database, clock, decode)
        self._bus = bus
        self._look = look
        self._footing = Footing()
        self._patience = patience
        self._give_up = give_up
        self._silences = 0
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
        now, watch = asyncio.get_running_loop().time, Watch(self._patience)
        hinted = now()
        while True:
            began = now()
            batches = await reader.poll(self._look.limit, 0.5)
            await self._watch(reader, watch, now() - began)
            self.idle = not batches
            await _together([self._turn(reader, batch) for batch in batches])
            if began - hinted > _HINT:
                await reader.hint({partition: claim.next_off for partition, claim in self.claims.held().items()})
                hinted = began
            full = any(len(batch.records) >= self._look.limit for batch in batches)
            await asyncio.sleep(0 if full else began + self._look.pace - now())

    async def _watch(self, reader: Reader, watch: Watch, seconds: float) -> None:
        """Raises Retry when the reader is silent although there is more: the next one is another reader."""
        held = self.claims.held()
        quiet = watch.looked(seconds, held)
        self._silences = 0 if watch.moved else self._silences
        if quiet:
            ends = {partition: bound.end for partition, bound in (await self._bus.bounds(list(self.topics))).items()}
            behind = [partition for partition in quiet if held[partition].next_off < ends[partition]]
            waiting = {partition for partition in behind if await _short_of(reader, partition, ends[partition])}
            if stuck := watch.stuck(quiet, waiting):
                raise self._silent(stuck[0])

    def _silent(self, partition: Partition) -> BaseException:
        self._silences += 1
        what = (
            f"{self.group}: the reader of {partition.topic}[{partition.part}] hands out nothing although there is more"
        )
        if self._silences < _REBUILT:
            return Retry(what)
        self._silences = 0
        return self._give_up(f"{what}, the {_REBUILT}rd in a row: restart this process, and look at the log's servers")

    async def caught_up(self, partition: Partition) -> bool:
        """Whether we hold this partition and its log has nothing more. Raises Retry when the log does not answer."""
        bounds, claim = await self._bus.bounds([partition.topic]), self.claims.held().get(partition)
        return claim is not None and claim.next_off >= bounds[partition].end

    async def redrive(self, ids: Sequence[str]) -> int:
        """Handle parked records of this group again, each in a transaction of its own; those that fail stay parked."""
        return sum([await self._handling.again(one) for one in ids])

    async def _turn(self, reader: Reader, batch: Batch) -> None:
        async with self.claims.lock(batch.partition):
            await self._take(reader, batch)

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
        """Find our place again. Raises Retry when another member has claimed what we were not told to give back."""
        ours = partition in self.claims.held()
        claim = await self.claims.resync(partition)
        if claim is not None:
            reader.seek(partition, claim.start)
        elif ours:
            raise Retry(f"{self.group}: another member has claimed {partition.topic}[{partition.part}]; joining anew")


async def _together(work: Sequence[Awaitable[None]]) -> None:
    """All of it side by side, a partition's transaction beside another's; the first failure when all have ended."""
    for failed in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(failed, BaseException):
            raise failed


async def _short_of(reader: Reader, partition: Partition, end: int) -> bool:
    """Whether it has yet to read up to there: behind the last record there may be nothing but a producer's markers."""
    position = await reader.position(partition)
    return position is None or position < end
