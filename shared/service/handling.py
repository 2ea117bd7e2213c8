"""What happens to one batch of messages? Decoded, handled and recorded in one transaction, exactly once.

A batch is how we read and write, never how we decide. Whatever fails rolls back cursor and effects together.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import structlog

from shared.bus.protocol import Batch, Partition
from shared.clock import Clock
from shared.contracts.topics import Topic
from shared.db.errors import is_infrastructure
from shared.db.protocol import Database, Tx
from shared.failures import Halted, Parked
from shared.service import cursor
from shared.service.claims import Fenced
from shared.service.cursor import Claim
from shared.service.parking import Unfit, park, record_of, take_back
from shared.service.tolerance import Failed, TooMany
from shared.service.unpacking import Decode, Unpacker, contract

_log = structlog.get_logger(__name__)
_ATTEMPTS = 3
_FAILED = "handler_failed"


class Incoming(NamedTuple):
    """One batch for a handler: decoded messages of one partition, which holds every message of its accounts.

    `start` is the offset the batch began at: with `part` a name of the batch that no other committed batch has.
    """

    topic: Topic
    part: int
    start: int
    messages: Sequence[Any]


Handle = Callable[[Tx, Incoming], Awaitable[None]]


class Handling:
    """One group's handler over its database; `decode` unless by contract.

    A record that breaks our own contract counts as a failure of ours, like one on which the handler fails. What others
    may send as they like is theirs: no number of bad records from outside stops the reader.
    """

    def __init__(
        self,
        group: str,
        topics: Sequence[Topic],
        handle: Handle,
        database: Database,
        clock: Clock,
        decode: Decode | None,
    ) -> None:
        self._group = group
        self._topics = {topic.name: topic for topic in topics}
        self._unpackers = {topic.name: Unpacker(decode or contract(topic)) for topic in topics}
        self._ours = decode is None
        self._handle = handle
        self._database = database
        self._clock = clock
        self._failed: dict[Partition, Failed] = {}
        self.handled = 0

    async def take(self, batch: Batch, claim: Claim, attempt: int = 1) -> Claim:
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
                return await self.take(batch, claim, attempt + 1)
            return await self._park(batch, claim, error)

    async def again(self, parked_id: str) -> int:
        """Handle a parked record once more, in a transaction of its own: 1, or 0 when it fails and stays parked."""
        try:
            async with self._database.transaction() as tx:
                for row in await take_back(tx, self._group, [parked_id], self._clock.now()):
                    message = self._unpackers[row.topic].message(record_of(row))
                    await self._handle(tx, Incoming(self._topics[row.topic], row.part, ~row.off, [message]))
                    return 1
        except Exception as error:
            if is_infrastructure(error):
                raise
            _log.warning("still_parked", group=self._group, id=parked_id, error=repr(error))
        return 0

    async def _halves(self, batch: Batch, claim: Claim) -> Claim:
        middle = len(batch.records) // 2
        claim = await self.take(Batch(batch.partition, batch.records[:middle]), claim)
        return await self.take(Batch(batch.partition, batch.records[middle:]), claim)

    async def _park(self, batch: Batch, claim: Claim, error: Exception) -> Claim:
        """Leave this one record to a person."""
        why = error if isinstance(error, Parked) else Parked(repr(error), _FAILED)
        after = await self._commit(batch, claim, Unfit(batch.records[0], why))
        _log.error("record_parked", group=self._group, partition=batch.partition, offset=batch.start, error=repr(error))
        return after

    async def _commit(self, batch: Batch, claim: Claim, parked: Unfit | None = None) -> Claim:
        """The one transaction. With `parked` its only record is kept aside instead of handled."""
        partition, now = batch.partition, self._clock.now()
        messages, unfit, after = self._unpackers[partition.topic].unpack(batch, claim)
        if parked is not None:
            messages, unfit = [], [parked]
        failed = self._counted(batch, unfit)
        async with self._database.transaction() as tx:
            if not await cursor.move(tx, self._group, partition, claim, after, now):
                raise Fenced
            await park(tx, self._group, partition, unfit, now)
            if messages:
                incoming = Incoming(self._topics[partition.topic], partition.part, claim.next_off, messages)
                await self._handle(tx, incoming)
        self.handled += len(messages)
        self._failed[partition] = failed
        return after

    def _counted(self, batch: Batch, unfit: Sequence[Unfit]) -> Failed:
        """The failures with these. Raises TooMany for a batch to be cut, so that what stands before is still taken."""
        counted = [one for one in unfit if self._ours or one.why.code == _FAILED]
        try:
            return self._failed.get(batch.partition, Failed()).plus(one.record.offset for one in counted)
        except TooMany:
            if len(batch.records) > 1:
                raise
            raise _drained(self._group, batch, counted[-1].why) from None


def _drained(group: str, batch: Batch, why: Exception) -> Halted:
    return Halted(
        f"{group}: too many records of {batch.partition.topic}[{batch.partition.part}] failed (50 in a row, or more than "
        f"50 of the last 1,000), the last at {batch.start} with: {why}. Deploy a version that can take them, restart, and "
        "redrive what was parked; restarted as it is, it parks up to 50 more and stops again."
    )
