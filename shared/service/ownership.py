"""Partition ownership: the consumer cursor in the service's database, its fencing epoch, and the check of each batch's position.

A partition is owned by whoever claimed it last: claiming increments the epoch in `consumer_cursor`, which fences every
earlier owner. Each commit moves the cursor from a to b under its row lock, only if it is still at a and the epoch still
ours, in the same transaction as the effects of the records between: committed intervals tile the log, without overlap
or hole.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

from sqlalchemy import Row, bindparam, func, select, update

from shared.bus.protocol import Bounds, Partition, Record, RecordBatch
from shared.bus.tables import consumer_cursor
from shared.clock import Clock
from shared.db.protocol import Database, Read, Tx
from shared.failures import Halted

_c = consumer_cursor.c
_OF_PARTITION = (
    _c.consumer_group == bindparam("in_group"),
    _c.topic == bindparam("in_topic"),
    _c.partition == bindparam("in_partition"),
)
_LOCK = (
    update(consumer_cursor)
    .where(*_OF_PARTITION, _c.epoch == bindparam("our_epoch"))
    .values(updated_at=bindparam("now"))
)
_ADVANCE = _LOCK.where(_c.next_offset == bindparam("from_offset")).values(
    next_offset=bindparam("to_offset"),
    next_sequence=bindparam("to_sequence"),
    last_fingerprint=bindparam("to_fingerprint"),
)
_STATE = (_c.epoch, _c.next_offset, _c.next_sequence, _c.last_fingerprint)
_READ = select(*_STATE).where(*_OF_PARTITION)
_CLAIM = (
    update(consumer_cursor)
    .where(*_OF_PARTITION)
    .values(epoch=_c.epoch + 1, owner=bindparam("new_owner"), updated_at=bindparam("now"))
    .returning(*_STATE)
)

ANY_SEQUENCE = -1
"""A `next_sequence` that the next record decides: the group starts after the beginning of the log, or was moved by hand."""


class Fenced(Exception):  # noqa: N818  not a failure: another owner continues
    """The partition is no longer ours, or the cursor is not where we thought."""


class Claim(NamedTuple):
    """Our right to a partition, and its cursor. `next_sequence`: the producer's own sequence number that comes next.

    `last_fingerprint`: the fingerprint of the record before `next_offset`; empty where it is not recorded.
    """

    epoch: int
    next_offset: int
    next_sequence: int
    last_fingerprint: bytes = b""

    @property
    def read_from(self) -> int:
        """The offset to read from: one record back, where the log has to prove that it is the one we read."""
        return self.next_offset - 1 if self.last_fingerprint else self.next_offset


def _at(group: str, partition: Partition) -> dict[str, Any]:
    return {"in_group": group, "in_topic": partition.topic, "in_partition": partition.number}


async def claim_partition(tx: Tx, group: str, partition: Partition, bounds: Bounds, owner: str, now: datetime) -> Claim:
    """Take the partition: every earlier owner is fenced from now on. A new group starts at the beginning."""
    new = {
        "consumer_group": group,
        "topic": partition.topic,
        "partition": partition.number,
        "next_offset": bounds.begin,
        "next_sequence": 0 if bounds.begin == 0 else ANY_SEQUENCE,
        "epoch": 0,
        "owner": owner,
        "updated_at": now,
    }
    await tx.insert_new(consumer_cursor, [new])
    row = await tx.first(_CLAIM, {**_at(group, partition), "new_owner": owner, "now": now})
    assert row is not None  # noqa: S101  inserted just above, in this transaction
    return _claim(row)


async def advance_cursor(tx: Tx, group: str, partition: Partition, before: Claim, after: Claim, now: datetime) -> bool:
    """Move from `before` to `after`; False when another owner has the partition, or moved it."""
    condition = {**_at(group, partition), "our_epoch": before.epoch, "from_offset": before.next_offset, "now": now}
    values = {
        "to_offset": after.next_offset,
        "to_sequence": after.next_sequence,
        "to_fingerprint": _packed(after.next_offset) + after.last_fingerprint,
    }
    return await tx.run(_ADVANCE, condition | values) == 1


async def lock_cursor(tx: Tx, group: str, partition: Partition, epoch: int, now: datetime) -> bool:
    """Lock the cursor for this transaction without moving it; False when the partition is no longer ours."""
    return await tx.run(_LOCK, {**_at(group, partition), "our_epoch": epoch, "now": now}) == 1


async def read_cursor(read: Read, group: str, partition: Partition) -> Claim | None:
    """The cursor, whoever owns it: after a commit of unknown outcome it says whether the commit happened."""
    row = await read.first(_READ, _at(group, partition))
    return None if row is None else _claim(row)


async def last_move(database: Database) -> datetime | None:
    """When any process last moved a cursor here, on its clock; None where none has."""
    async with database.snapshot() as read:
        moved: datetime | None = await read.scalar(select(func.max(_c.updated_at)))
        return moved


def _claim(row: Row[Any]) -> Claim:
    """A fingerprint is valid for the offset it was stored with: moving the cursor without it makes it void."""
    stored, offset = bytes(row.last_fingerprint or b""), _packed(row.next_offset)
    return Claim(
        row.epoch, row.next_offset, row.next_sequence, stored[len(offset) :] if stored.startswith(offset) else b""
    )


def _packed(offset: int) -> bytes:
    return offset.to_bytes(8, "big")


def fingerprint(record: Record) -> bytes:
    """Sixteen bytes of a hash over all that the log says of a record; the lengths keep a byte from moving between fields."""
    head = f"{record.sequence} {record.timestamp} {len(record.key)} {len(record.value)} "
    return blake2b(b"".join((head.encode(), record.key, record.value, record.meta)), digest_size=16).digest()


class PartitionOwnership:
    """The partitions that one consumer group owns in this process. `owner` names the process, for people."""

    def __init__(self, group: str, database: Database, clock: Clock, owner: str) -> None:
        self.group = group
        self._database = database
        self._clock = clock
        self._owner = owner
        self._claims: dict[Partition, Claim] = {}
        self._locks: dict[Partition, asyncio.Lock] = {}

    async def on_assigned(self, partitions: dict[Partition, Bounds]) -> dict[Partition, int]:
        """Claim them and return the offsets to read from. Stored last: until then their batches are dropped."""
        claims = {partition: await self._claim(partition, bounds) for partition, bounds in partitions.items()}
        self._claims.update(claims)
        return {partition: claim.read_from for partition, claim in claims.items()}

    async def on_revoked(self, partitions: set[Partition]) -> None:
        """Forget them: a batch in progress can only be fenced, never wrong."""
        for partition in partitions:
            self._claims.pop(partition, None)

    def clear(self) -> None:
        """Forget every claim when the reader ends: the next reader claims anew, also in this process."""
        self._claims.clear()

    def claims(self) -> dict[Partition, Claim]:
        """The partitions owned now, each with its cursor."""
        return dict(self._claims)

    def advanced(self, partition: Partition, claim: Claim) -> None:
        """Store the cursor after a commit, unless the partition was revoked, or claimed anew, in the meantime."""
        current = self._claims.get(partition)
        if current is not None and current.epoch == claim.epoch:
            self._claims[partition] = claim

    async def refresh(self, partition: Partition) -> Claim | None:
        """Read the cursor from the database, also to learn whether a commit happened. None: not ours any more."""
        before = self._claims.get(partition)
        if before is None:
            return None
        async with self._database.snapshot() as read:
            current = await read_cursor(read, self.group, partition)
        if current is not None and current.epoch == before.epoch:
            self.advanced(partition, current)
            return current
        if self._claims.get(partition) == before:  # else it was claimed anew while we asked
            del self._claims[partition]
        return None

    def lock(self, partition: Partition) -> asyncio.Lock:
        """One transaction at a time in a partition: a batch, or a timer."""
        return self._locks.setdefault(partition, asyncio.Lock())

    @asynccontextmanager
    async def transaction(self, partition: Partition) -> AsyncIterator[Tx]:
        """A transaction for a timer of this partition's accounts, fenced like a batch. Raises Fenced."""
        async with self.lock(partition):
            claim = self._claims.get(partition)
            if claim is None:
                raise Fenced
            async with self._database.transaction() as tx:
                if not await lock_cursor(tx, self.group, partition, claim.epoch, self._clock.now()):
                    raise Fenced
                yield tx

    async def _claim(self, partition: Partition, bounds: Bounds) -> Claim:
        async with self._database.transaction() as tx:
            claim = await claim_partition(tx, self.group, partition, bounds, self._owner, self._clock.now())
        check_bounds(self.group, partition, claim, bounds)
        return claim if bounds.begin < claim.next_offset else claim._replace(last_fingerprint=b"")


def check_bounds(group: str, partition: Partition, claim: Claim, bounds: Bounds) -> None:
    """Raises Halted when the log no longer holds what comes next for us: skipping would lose it."""
    if not bounds.begin <= claim.next_offset <= bounds.end:
        raise _log_changed(group, partition, claim, f"which holds {bounds.begin} to {bounds.end}")


def log_replaced(group: str, partition: Partition, claim: Claim) -> Halted:
    """The error for a log that holds another record at the offset of the record we processed last."""
    return _log_changed(group, partition, claim, "where the record before is not the one that was read")


def _log_changed(group: str, partition: Partition, claim: Claim, what: str) -> Halted:
    return Halted(
        f"{group} is at {claim.next_offset} of {partition.topic}[{partition.number}], {what}: the log was truncated or made "
        "anew. Restore it, or move the cursor by hand (docs/operations.md, A halted reader), and restart."
    )


Position = Literal["next", "misplaced", "gap", "replaced"]
"""Where a batch stands: it comes next; or the reader has to be moved to `Claim.read_from`; or the log has nothing more
before this batch; or the log was replaced by another one.
"""


class _Seek(NamedTuple):
    """Where we have moved a reader, in which claim, and what it returned before that."""

    epoch: int
    to: int
    start: int


class PositionCheck:
    """Checks that a batch comes next for a claim. Remembers seeks, so that the same answer from the right place is believed.

    aiokafka returns records before the owner of a partition has said where it starts: taking them would skip some. And
    whoever deletes a topic and creates it anew leaves other records at the same offsets. So each claim begins to read at
    the last record it processed: the log has to return it once more, unchanged.
    """

    def __init__(self) -> None:
        self._seeks: dict[Partition, _Seek] = {}
        self._verified_epochs: dict[Partition, int] = {}

    def check(self, batch: RecordBatch, claim: Claim) -> Position:
        """For "misplaced" the caller seeks: only from there a gap is believed."""
        verified = self._verified_epochs.get(batch.partition) == claim.epoch
        expected = claim.next_offset if verified else claim.read_from
        if batch.start > expected:
            return self._after_expected(batch, claim, expected)
        return "next" if verified else self._verify(batch, claim)

    def _after_expected(self, batch: RecordBatch, claim: Claim, expected: int) -> Position:
        seek = _Seek(claim.epoch, expected, batch.start)
        if self._seeks.get(batch.partition) != seek:
            self._seeks[batch.partition] = seek
            return "misplaced"
        self._verified_epochs[batch.partition] = claim.epoch
        return "gap"

    def _verify(self, batch: RecordBatch, claim: Claim) -> Position:
        """Compare the record we processed last, where it still exists."""
        if batch.end < claim.next_offset:
            return "next"
        last = next((record for record in batch.records if record.offset == claim.next_offset - 1), None)
        if claim.last_fingerprint and last is not None and fingerprint(last) != claim.last_fingerprint:
            return "replaced"
        self._verified_epochs[batch.partition] = claim.epoch
        return "next"
