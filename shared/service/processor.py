"""Batch processor: decodes a batch of records, calls the handler and moves the cursor in one transaction, exactly once.

A batch is a unit of reading and writing, never of deciding: where a transaction would hold its partition for too long, fewer
records share it. Any failure rolls back cursor and effects together.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog

from shared.bus.protocol import Partition, Record, RecordBatch
from shared.clock import Clock
from shared.contracts.topics import Topic, decoder
from shared.db.errors import is_infrastructure
from shared.db.protocol import Database, Tx
from shared.failures import Halted, Parked, described
from shared.service import dead_letters, ownership
from shared.service.dead_letters import DeadLetterLimit, DeadLetterLimitExceeded, InvalidRecord
from shared.service.journal import Taken
from shared.service.ownership import ANY_SEQUENCE, Claim, Fenced, fingerprint
from shared.service.time_slice import OutOfTime, Step, TimeSlice

_log = structlog.get_logger(__name__)
_ATTEMPTS = 3
_HANDLER_FAILED = "handler_failed"
_ALWAYS = 500
"""So many records may share a transaction however long it waits for the database: fewer would not be faster."""

Decode = Callable[[Record], Any]
"""Reads one record; raises Parked or msgspec.DecodeError for one that is invalid."""


class MessageBatch(NamedTuple):
    """Decoded messages of one partition, which holds every message of its accounts.

    `start_offset` is the offset the batch began at: with `partition` it identifies the batch among all committed ones. A
    handler that is still deciding when its `time_slice` is over raises OutOfTime. `taken` says which records of the topic's
    archive the messages are: what the journal of a service writes down.
    """

    topic: Topic
    partition: int
    start_offset: int
    messages: Sequence[Any]
    time_slice: TimeSlice = TimeSlice()
    taken: Taken | None = None


Handler = Callable[[Tx, MessageBatch], Awaitable[None]]


class DecodedBatch(NamedTuple):
    """The messages of a batch, its invalid records, the claim after it, and which records the messages are."""

    messages: list[Any]
    invalid: list[InvalidRecord]
    claim: Claim
    taken: Taken | None


def contract_decoder(topic: Topic) -> Decode:
    """Reads a topic's records as the messages of its contract."""
    decode = decoder(topic)
    return lambda record: decode(record.value)


class BatchDecoder:
    """Reads one topic's records with one decoder."""

    def __init__(self, decode: Decode) -> None:
        self.decode = decode

    def decode_batch(self, batch: RecordBatch, claim: Claim) -> DecodedBatch:
        """Raises Halted when the producer's own sequence has a hole: a record of ours never reached the log."""
        records, next_sequence = _new_records(batch, claim)
        messages, invalid = self._decode_all(records)
        after = Claim(claim.epoch, batch.end, next_sequence, fingerprint(batch.records[-1]))
        taken = _taken(records, invalid)
        return DecodedBatch(messages, invalid, after if batch.end > claim.next_offset else claim, taken)

    def _decode_all(self, records: Sequence[Record]) -> tuple[list[Any], list[InvalidRecord]]:
        messages: list[Any] = []
        invalid: list[InvalidRecord] = []
        decode, add = self.decode, messages.append
        for record in records:
            try:
                add(decode(record))
            except Parked as error:
                invalid.append(InvalidRecord(record, error))
            except msgspec.DecodeError as error:
                invalid.append(InvalidRecord(record, Parked(str(error), "not_the_contract")))
        return messages, invalid


def _new_records(batch: RecordBatch, claim: Claim) -> tuple[Sequence[Record], int]:
    """The records not processed before: by their offset, and by the producer's sequence where a relay repeated itself."""
    next_sequence = claim.next_sequence
    if next_sequence >= 0 and batch.start >= claim.next_offset:
        end = next_sequence + len(batch.records)
        if [record.sequence for record in batch.records] == [*range(next_sequence, end)]:
            return batch.records, end  # as nearly always: each is the next
    new = []
    for record in batch.records:
        if record.offset < claim.next_offset or -1 < record.sequence < next_sequence:
            continue
        next_sequence = record.sequence if next_sequence == ANY_SEQUENCE and record.sequence >= 0 else next_sequence
        if record.sequence > next_sequence:
            raise Halted(f"{batch.partition}: sequence {next_sequence} is missing before {record.sequence}")
        next_sequence += record.sequence >= 0
        new.append(record)
    return new, next_sequence


def _taken(records: Sequence[Record], invalid: Sequence[InvalidRecord]) -> Taken | None:
    """These records but the invalid ones, by the sequence of their producer; None where it has none: others' records."""
    if not records or records[0].sequence < 0:
        return None
    without = tuple(one.record.sequence for one in invalid)
    return Taken(records[0].sequence, records[-1].sequence + 1, without)


class BatchProcessor:
    """One group's handler over its database; `decode` replaces the decoder of the topic's contract.

    A record that breaks our own contract counts towards the dead-letter limit, like one on which the handler fails. Where
    others may send what they like (`decode` is given), no number of invalid records stops the consumer.
    """

    def __init__(
        self,
        group: str,
        topics: Sequence[Topic],
        handler: Handler,
        database: Database,
        clock: Clock,
        decode: Decode | None,
        slice_seconds: float = math.inf,
    ) -> None:
        self._group = group
        self._topics = {topic.name: topic for topic in topics}
        self._decoders = {topic.name: BatchDecoder(decode or contract_decoder(topic)) for topic in topics}
        self._invalid_is_ours = decode is None
        self._handler = handler
        self._database = database
        self._clock = clock
        self._slice_seconds = slice_seconds
        self._sizes: dict[Partition, int] = {}
        self._limits: dict[Partition, DeadLetterLimit] = {}
        self.handled = 0

    async def process(self, batch: RecordBatch, claim: Claim) -> Claim:
        """Commit this batch from `claim` on, in as many transactions as its time slices need."""
        done, records, partition = 0, batch.records, batch.partition
        most, seconds = len(records), self._slice_seconds
        while done < len(records):
            size = min(most, self._sizes.get(partition, most))
            part = RecordBatch(partition, records[done : done + size])
            try:
                claim = await self._process_part(part, claim, seconds)
            except OutOfTime as cut:
                if cut.first is None and len(part.records) > 1:
                    self._sizes[partition] = max(1, min(cut.messages, len(part.records) - 1))
                elif cut.first is None:
                    seconds = math.inf  # one message is decided, however long it takes
                elif cut.messages:
                    most = cut.messages
                else:
                    await self._do_first(partition, claim, cut.first)
                continue
            done += len(part.records)
            most, seconds = len(records), self._slice_seconds
        return claim

    async def _do_first(self, partition: Partition, claim: Claim, step: Step) -> None:
        """What the next message needs before it, in transactions that hold the cursor where it is."""
        finished = False
        while not finished:
            async with self._database.transaction() as tx:
                if not await ownership.lock_cursor(tx, self._group, partition, claim.epoch, self._clock.now()):
                    raise Fenced
                finished = await step(tx)

    async def _process_part(self, batch: RecordBatch, claim: Claim, seconds: float, attempt: int = 1) -> Claim:
        """Commit these records in one transaction; where the handler fails on them, bisect to the record that is at fault."""
        try:
            return await self._commit(batch, claim, seconds)
        except (Fenced, OutOfTime):
            raise
        except Exception as error:
            if is_infrastructure(error) or isinstance(error, Halted):
                raise
            if len(batch.records) > 1:
                return await self._bisect(batch, claim)
            if attempt < _ATTEMPTS:
                return await self._process_part(batch, claim, seconds, attempt + 1)
            return await self._dead_letter(batch, claim, error)

    async def redrive(self, dead_letter_id: str) -> int:
        """Handle a dead letter once more, in a transaction of its own: 1, or 0 when it fails and stays open."""
        try:
            async with self._database.transaction() as tx:
                for taken in await dead_letters.take(tx, self._group, [dead_letter_id], self._clock.now()):
                    topic, number = taken.partition
                    message, place = self._decoders[topic].decode(taken.record), taken.record.sequence
                    again = Taken(place, place + 1, dead_letter=taken.id)
                    slice_ = TimeSlice()
                    batch = MessageBatch(self._topics[topic], number, ~taken.record.offset, [message], slice_, again)
                    await self._handler(tx, batch)
                    return 1
        except Exception as error:
            if is_infrastructure(error):
                raise
            _log.warning("still_parked", group=self._group, id=dead_letter_id, error=repr(error))
        return 0

    async def _bisect(self, batch: RecordBatch, claim: Claim) -> Claim:
        middle = len(batch.records) // 2
        claim = await self.process(RecordBatch(batch.partition, batch.records[:middle]), claim)
        return await self.process(RecordBatch(batch.partition, batch.records[middle:]), claim)

    async def _dead_letter(self, batch: RecordBatch, claim: Claim, error: Exception) -> Claim:
        """Leave this one record to a person."""
        reason = error if isinstance(error, Parked) else Parked(described(error), _HANDLER_FAILED)
        after = await self._commit(batch, claim, math.inf, InvalidRecord(batch.records[0], reason))
        _log.error("record_parked", group=self._group, partition=batch.partition, offset=batch.start, error=repr(error))
        return after

    async def _commit(
        self, batch: RecordBatch, claim: Claim, seconds: float, dead_letter: InvalidRecord | None = None
    ) -> Claim:
        """The one transaction. With `dead_letter` the batch's only record is stored instead of handled."""
        partition, now = batch.partition, self._clock.now()
        messages, invalid, after, taken = self._decoders[partition.topic].decode_batch(batch, claim)
        if dead_letter is not None:
            messages, invalid = [], [dead_letter]
        limit = self._limit_with(batch, invalid)
        began = asyncio.get_running_loop().time()
        async with self._database.transaction() as tx:
            if not await ownership.advance_cursor(tx, self._group, partition, claim, after, now):
                raise Fenced
            await dead_letters.add(tx, self._group, partition, invalid, now)
            if messages:
                topic = self._topics[partition.topic]
                time_slice = TimeSlice(seconds)
                await self._handler(
                    tx, MessageBatch(topic, partition.number, claim.next_offset, messages, time_slice, taken)
                )
        self._resize(partition, len(batch.records), asyncio.get_running_loop().time() - began)
        self.handled += len(messages)
        self._limits[partition] = limit
        return after

    def _resize(self, partition: Partition, records: int, seconds: float) -> None:
        """After a transaction: fewer records for the next one where it took too long, more where there is time again."""
        if seconds > 2 * self._slice_seconds and records > _ALWAYS:
            self._sizes[partition] = max(_ALWAYS, records // 2)
        elif records >= self._sizes.get(partition, math.inf) and seconds < self._slice_seconds:
            self._sizes[partition] = 2 * records

    def _limit_with(self, batch: RecordBatch, invalid: Sequence[InvalidRecord]) -> DeadLetterLimit:
        """The failures with these. Past the limit a batch of many is bisected, so that what stands before is processed."""
        counted = [one for one in invalid if self._invalid_is_ours or one.error.code == _HANDLER_FAILED]
        try:
            limit = self._limits.get(batch.partition, DeadLetterLimit())
            return limit.plus(one.record.offset for one in counted)
        except DeadLetterLimitExceeded:
            if len(batch.records) > 1:
                raise
            raise _too_many_dead_letters(self._group, batch, counted[-1].error) from None


def _too_many_dead_letters(group: str, batch: RecordBatch, error: Exception) -> Halted:
    return Halted(
        f"{group}: too many records of {batch.partition.topic}[{batch.partition.number}] failed (50 in a row, or more than "
        f"50 of the last 1,000), the last at {batch.start} with: {error}. Deploy a version that can take them, restart, and "
        "redrive what was parked; restarted as it is, it parks up to 50 more and stops again."
    )
