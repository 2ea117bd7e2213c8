"""Which partitions are ours now? Claimed in the database, which fences whoever had them before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.bus.protocol import Bounds, Partition
from shared.clock import Clock
from shared.db.protocol import Database, Tx
from shared.failures import Halted
from shared.service import cursor
from shared.service.cursor import Claim


class Fenced(Exception):  # noqa: N818  not a failure: somebody else goes on
    """The partition is no longer ours, or the cursor is not where we thought."""


class Claims:
    """One group's claims in this process. `owner` names the process, for people."""

    def __init__(self, group: str, database: Database, clock: Clock, owner: str) -> None:
        self.group = group
        self._database = database
        self._clock = clock
        self._owner = owner
        self._held: dict[Partition, Claim] = {}
        self._turns: dict[Partition, asyncio.Lock] = {}

    async def assigned(self, partitions: dict[Partition, Bounds]) -> dict[Partition, int]:
        """Claim them and say where to start. Remembered last: until then their batches are dropped."""
        claims = {partition: await self._claim(partition, bounds) for partition, bounds in partitions.items()}
        self._held.update(claims)
        return {partition: claim.start for partition, claim in claims.items()}

    async def revoked(self, partitions: set[Partition]) -> None:
        """Forget them: a batch in hand can only be fenced, never wrong."""
        for partition in partitions:
            self._held.pop(partition, None)

    def ended(self) -> None:
        """The reader is gone: whoever reads next claims anew, also where this process reads again."""
        self._held.clear()

    def held(self) -> dict[Partition, Claim]:
        """The partitions claimed now, and where each cursor is."""
        return dict(self._held)

    def moved(self, partition: Partition, claim: Claim) -> None:
        """Remember where we are after a commit, unless the partition was revoked, or claimed anew, meanwhile."""
        mine = self._held.get(partition)
        if mine is not None and mine.epoch == claim.epoch:
            self._held[partition] = claim

    async def resync(self, partition: Partition) -> Claim | None:
        """Ask the database where we are: it also answers whether an unknown commit happened. None: not ours any more."""
        mine = self._held.get(partition)
        if mine is None:
            return None
        async with self._database.snapshot() as view:
            now = await cursor.read(view, self.group, partition)
        if now is not None and now.epoch == mine.epoch:
            self.moved(partition, now)
            return now
        if self._held.get(partition) == mine:  # else it was claimed anew while we asked
            del self._held[partition]
        return None

    def lock(self, partition: Partition) -> asyncio.Lock:
        """One thing at a time in a partition: a batch, or what time brings."""
        return self._turns.setdefault(partition, asyncio.Lock())

    @asynccontextmanager
    async def turn(self, partition: Partition) -> AsyncIterator[Tx]:
        """A transaction for what time brings to this partition's accounts, fenced like a batch. Raises Fenced."""
        async with self.lock(partition):
            claim = self._held.get(partition)
            if claim is None:
                raise Fenced
            async with self._database.transaction() as tx:
                if not await cursor.hold(tx, self.group, partition, claim.epoch, self._clock.now()):
                    raise Fenced
                yield tx

    async def _claim(self, partition: Partition, bounds: Bounds) -> Claim:
        async with self._database.transaction() as tx:
            claim = await cursor.claim(tx, self.group, partition, bounds, self._owner, self._clock.now())
        unbroken(self.group, partition, claim, bounds)
        return claim if bounds.begin < claim.next_off else claim._replace(last_hash=b"")


def unbroken(group: str, partition: Partition, claim: Claim, bounds: Bounds) -> None:
    """Raises Halted when the log no longer holds what comes next for us: skipping would lose it."""
    if not bounds.begin <= claim.next_off <= bounds.end:
        raise _broken(group, partition, claim, f"which holds {bounds.begin} to {bounds.end}")


def foreign(group: str, partition: Partition, claim: Claim) -> Halted:
    """The log holds another record where the one stood that we took last."""
    return _broken(group, partition, claim, "where the record before is not the one that was read")


def _broken(group: str, partition: Partition, claim: Claim, what: str) -> Halted:
    return Halted(
        f"{group} is at {claim.next_off} of {partition.topic}[{partition.part}], {what}: the log was truncated or made "
        "anew. Restore it, or move the cursor by hand (docs/operations.md, A halted reader), and restart."
    )
