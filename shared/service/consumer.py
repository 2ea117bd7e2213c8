"""Consumer: reads a topic's partitions, as a member of a group, into one transactional handler.

It processes partitions that it has claimed (ownership.py), in order, batch by batch (processor.py), and replaces a reader
that stalls.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from shared.bus.protocol import Bus, Partition, Reader, RecordBatch
from shared.clock import Clock
from shared.contracts.topics import Topic
from shared.db.protocol import Database
from shared.failures import Halted, Retry
from shared.service.ownership import Claim, Fenced, PartitionOwnership, PositionCheck, check_bounds, log_replaced
from shared.service.processor import BatchProcessor, Decode, Handler

_COMMIT_HINT_SECONDS = 5.0
_STALL_SECONDS = 30.0
_MAX_STALLS = 3
"""How often a stalled reader is replaced before the consumer gives up."""

_HELD_SECONDS = 1.0

GiveUp = Callable[[str], BaseException]
MayHandle = Callable[[], Awaitable[bool]]
"""Whether what was read may be handled now."""
AskTime = Callable[[], Awaitable[object]]
"""Makes sure that the clock was held against its witnesses. Raises Retry where they do not answer."""


class PollSettings(NamedTuple):
    """At most `max_records` of a partition share a transaction, and those that come within `linger` seconds do.

    Linger is latency given for fewer, larger transactions. It pays where single events come in; records from a relay are
    in batches already. A partition with more records than one poll returns is read on without delay.
    """

    max_records: int = 5_000
    linger: float = 0.1


DEFAULT_POLL = PollSettings()


class Consumer:
    """One consumer group reading some topics into one handler; `decode` replaces the decoder of the topics' contracts.

    A reader that returns nothing for `stall_seconds`, while the log has more, is replaced; the third time in a row the
    consumer raises what `give_up` makes of the reason. While `may_handle` says no, what was read waits. Of a transaction
    deciding gets `slice_seconds`. `ask_time` comes before every claim: a cursor tells when somebody worked, and one that a
    wrong clock has dated would be held against the right time.
    """

    def __init__(
        self,
        group: str,
        topics: Sequence[Topic],
        handler: Handler,
        bus: Bus,
        database: Database,
        clock: Clock,
        owner: str,
        poll: PollSettings = DEFAULT_POLL,
        decode: Decode | None = None,
        stall_seconds: float = _STALL_SECONDS,
        give_up: GiveUp = Halted,
        may_handle: MayHandle | None = None,
        ask_time: AskTime | None = None,
        slice_seconds: float = math.inf,
    ) -> None:
        self.group = group
        self.topics = {topic.name: topic for topic in topics}
        self.ownership = PartitionOwnership(group, database, clock, owner)
        self._processor = BatchProcessor(group, topics, handler, database, clock, decode, slice_seconds)
        self._bus = bus
        self._poll = poll
        self._positions = PositionCheck()
        self._stall_seconds = stall_seconds
        self._give_up = give_up
        self._may_handle = may_handle
        self._ask_time = ask_time
        self.slice_seconds = slice_seconds
        self._stalls = 0
        self.idle = False
        """Whether the last poll found nothing new: only then may timers run ahead of the messages."""

    @property
    def handled(self) -> int:
        """Messages handled since the process started."""
        return self._processor.handled

    async def run(self) -> None:
        """Read for ever. Raises Retry when log or database fail, Halted when going on would lose something."""
        if self._ask_time is not None:
            await self._ask_time()
        try:
            async with self._bus.reader(self.group, list(self.topics), self.ownership) as reader:
                await self._read(reader)
        finally:
            self.idle = False
            self.ownership.clear()

    async def _read(self, reader: Reader) -> None:
        now, stall_detector = asyncio.get_running_loop().time, StallDetector(self._stall_seconds)
        max_records, linger = self._poll
        hinted_at = now()
        while True:
            started = now()
            batches = await reader.poll(max_records, 0.5)
            await self._check_stall(reader, stall_detector, now() - started)
            self.idle = not batches
            while batches and self._may_handle is not None and not await self._may_handle():  # noqa: ASYNC110  time decides
                await asyncio.sleep(_HELD_SECONDS)
            await _all_of([self._process_locked(reader, batch) for batch in batches])
            if started - hinted_at > _COMMIT_HINT_SECONDS:
                claims = self.ownership.claims()
                await reader.commit_hint({partition: claim.next_offset for partition, claim in claims.items()})
                hinted_at = started
            full = any(len(batch.records) >= max_records for batch in batches)
            await asyncio.sleep(0 if full else started + linger - now())

    async def _check_stall(self, reader: Reader, stall_detector: "StallDetector", seconds: float) -> None:
        """Raises Retry when the reader returns nothing although there is more: the next run has another reader."""
        claims = self.ownership.claims()
        idle = stall_detector.observe(seconds, claims)
        self._stalls = 0 if stall_detector.progressed else self._stalls
        if idle:
            ends = {partition: bound.end for partition, bound in (await self._bus.bounds(list(self.topics))).items()}
            unread = [partition for partition in idle if claims[partition].next_offset < ends[partition]]
            behind = {partition for partition in unread if await _is_behind(reader, partition, ends[partition])}
            if stalled := stall_detector.stalled(idle, behind):
                raise self._stall(stalled[0])

    def _stall(self, partition: Partition) -> BaseException:
        self._stalls += 1
        what = f"{self.group}: the reader of {partition.topic}[{partition.number}] hands out nothing although there is more"
        if self._stalls < _MAX_STALLS:
            return Retry(what)
        self._stalls = 0
        return self._give_up(
            f"{what}, the {_MAX_STALLS}rd in a row: restart this process, and look at the log's servers"
        )

    async def caught_up(self, partition: Partition) -> bool:
        """Whether we own this partition and its log has nothing more. Raises Retry when the log does not answer."""
        bounds, claim = await self._bus.bounds([partition.topic]), self.ownership.claims().get(partition)
        return claim is not None and claim.next_offset >= bounds[partition].end

    async def redrive(self, ids: Sequence[str]) -> int:
        """Handle dead letters of this group once more, each in a transaction of its own; how many succeeded."""
        return sum([await self._processor.redrive(dead_letter_id) for dead_letter_id in ids])

    async def _process_locked(self, reader: Reader, batch: RecordBatch) -> None:
        async with self.ownership.lock(batch.partition):
            await self._process(reader, batch)

    async def _process(self, reader: Reader, batch: RecordBatch) -> None:
        """Any failure but Fenced ends the run, and with it the claims: the next run reads the cursors from the database."""
        claim = self.ownership.claims().get(batch.partition)
        if claim is None or not await self._is_next(reader, batch, claim):
            return
        try:
            self.ownership.advanced(batch.partition, await self._processor.process(batch, claim))
        except Fenced:
            await self._resync(reader, batch.partition)

    async def _is_next(self, reader: Reader, batch: RecordBatch, claim: Claim) -> bool:
        """Offsets may skip where a transactional producer left its markers, but not because the log lost its start."""
        match self._positions.check(batch, claim):
            case "next":
                pass
            case "gap":
                bounds = await self._bus.bounds([batch.partition.topic])
                check_bounds(self.group, batch.partition, claim, bounds[batch.partition])
            case "misplaced":
                reader.seek(batch.partition, claim.read_from)
                return False
            case "replaced":
                raise log_replaced(self.group, batch.partition, claim)
        return batch.end > claim.next_offset

    async def _resync(self, reader: Reader, partition: Partition) -> None:
        """Seek to the cursor. Raises Retry when another member has claimed a partition that was not revoked from us."""
        owned = partition in self.ownership.claims()
        claim = await self.ownership.refresh(partition)
        if claim is not None:
            reader.seek(partition, claim.read_from)
        elif owned:
            raise Retry(f"{self.group}: another member has claimed {partition.topic}[{partition.number}]; joining anew")


async def _all_of(work: Sequence[Awaitable[None]]) -> None:
    """All of it concurrently, a transaction for each partition; raises the first failure when all have ended."""
    for failed in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(failed, BaseException):
            raise failed


async def _is_behind(reader: Reader, partition: Partition, end: int) -> bool:
    """Whether it has yet to read up to there: behind the last record there may be nothing but a producer's markers."""
    position = await reader.position(partition)
    return position is None or position < end


class _Idle(NamedTuple):
    """A claim that has not moved since then; `behind`: when the log was last asked, it had more."""

    claim: Claim
    since: float
    behind: bool = False


class StallDetector:
    """Finds partitions whose reader returns nothing although the log has more: some consumers never notice that they hang.

    Only time spent polling counts: while a handler works, or another partition is busy, no partition is idle. An idle
    partition is checked twice within `patience` seconds of polling.
    """

    def __init__(self, patience: float) -> None:
        self._interval = patience / 2
        self._polled = 0.0
        self._idle: dict[Partition, _Idle] = {}
        self.progressed = False
        """Whether any cursor has moved since the observation before."""

    def observe(self, seconds: float, claims: Mapping[Partition, Claim]) -> list[Partition]:
        """After a poll of so many seconds: the partitions whose end the caller should ask the log for."""
        self._polled += seconds
        before, self._idle = self._idle, {}
        for partition, claim in claims.items():
            earlier = before.get(partition)
            self._idle[partition] = earlier if earlier and earlier.claim == claim else _Idle(claim, self._polled)
        self.progressed = any(
            earlier.claim.epoch == current.claim.epoch and earlier.claim != current.claim
            for partition, current in self._idle.items()
            if (earlier := before.get(partition))
        )
        return [partition for partition, idle in self._idle.items() if self._polled - idle.since >= self._interval]

    def stalled(self, idle: Iterable[Partition], behind: set[Partition]) -> list[Partition]:
        """Of the idle partitions, those that are `behind` now and were when the log was asked before."""
        found = []
        for partition in idle:
            current = self._idle[partition]
            if current.behind and partition in behind:
                found.append(partition)
            self._idle[partition] = _Idle(current.claim, self._polled, partition in behind)
        return found
