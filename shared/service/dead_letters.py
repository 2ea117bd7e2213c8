"""Dead letters: records that could not be processed, stored with the reason, listed, redriven, and limited in number.

Operators know them as parked records (`/parked`, `waymark_parked`). Past the limit a consumer halts instead: then not the
records are at fault, and a bad deploy would drain a topic into the table.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, select, update

from shared.bus.protocol import Partition, Record
from shared.bus.tables import dead_letter
from shared.db.protocol import Read, Tx
from shared.failures import Failure, Parked
from shared.ids import derived

_ID_NAMESPACE = "parked"  # ids that exist are derived from it
MAX_CONSECUTIVE = 50
WINDOW = 1000
MAX_IN_WINDOW = WINDOW // 20
"""Five in a hundred."""


class InvalidRecord(NamedTuple):
    """A record and why it cannot be processed."""

    record: Record
    error: Failure


async def add(tx: Tx, group: str, partition: Partition, invalid: Iterable[InvalidRecord], now: datetime) -> None:
    """Store the records with their reasons; one that was redriven and failed once more is open as before."""
    await tx.upsert(dead_letter, [_row(group, partition, record, error, now) for record, error in invalid])


def _row(group: str, partition: Partition, record: Record, error: Failure, now: datetime) -> dict[str, Any]:
    return {
        "id": derived(_ID_NAMESPACE, group, partition.topic, partition.number, record.offset),
        "consumer_group": group,
        "topic": partition.topic,
        "partition": partition.number,
        "offset": record.offset,
        "key": record.key,
        "value": record.value,
        "meta": record.meta,
        "timestamp": record.timestamp,
        "reason": error.code,
        "detail": str(error)[:500],
        "waits_for": error.about if isinstance(error, Parked) else "",
        "parked_at": now,
        "redriven_at": None,
    }


async def waiting_for(read: Read, group: str, subjects: Sequence[str]) -> Sequence[Row[Any]]:
    """Open dead letters that wait for one of these to become known, oldest first."""
    c = dead_letter.c
    return await read.all(
        select(dead_letter)
        .where(c.consumer_group == group, c.waits_for.in_(subjects), c.waits_for != "", c.redriven_at.is_(None))
        .order_by(c.parked_at, c.partition, c.offset)
    )


async def list_open(read: Read, group: str, reason: str | None, after: str, limit: int) -> Sequence[Row[Any]]:
    """Dead letters not yet redriven, by id."""
    c = dead_letter.c
    statement = select(dead_letter).where(c.consumer_group == group, c.redriven_at.is_(None), c.id > after)
    if reason:
        statement = statement.where(c.reason == reason)
    return await read.all(statement.order_by(c.id).limit(limit))


async def take(tx: Tx, group: str, ids: Sequence[str], now: datetime) -> Sequence[Row[Any]]:
    """Mark these as redriven and return those that were open: each is returned once."""
    c = dead_letter.c
    open_rows = update(dead_letter).where(c.consumer_group == group, c.id.in_(ids), c.redriven_at.is_(None))
    return await tx.all(open_rows.values(redriven_at=now).returning(*c))


def record_of(row: Row[Any]) -> Record:
    """The record as it was read."""
    return Record(row.offset, -1, row.timestamp, row.key, row.value, row.meta)


class DeadLetterLimitExceeded(Exception):  # noqa: N818  not a failure yet: the processor looks for the record at fault
    """The record is one more than may fail."""


class DeadLetterLimit(NamedTuple):
    """One partition's latest failures, by offset, oldest first: at most 49 in a row, and 50 of the last 1,000 records."""

    failed_offsets: tuple[int, ...] = ()

    def plus(self, offsets: Iterable[int]) -> "DeadLetterLimit":
        """With these failures too, in order; one that failed before counts once. Raises DeadLetterLimitExceeded."""
        failed = list(self.failed_offsets)
        for offset in offsets:
            if not failed or offset > failed[-1]:
                failed = [*(earlier for earlier in failed if earlier > offset - WINDOW), offset]
                _check_limit(failed)
        return DeadLetterLimit(tuple(failed))


def _check_limit(failed: list[int]) -> None:
    latest = failed[-MAX_CONSECUTIVE:]
    consecutive = len(latest) == MAX_CONSECUTIVE and latest[-1] - latest[0] == MAX_CONSECUTIVE - 1
    if len(failed) > MAX_IN_WINDOW or consecutive:
        raise DeadLetterLimitExceeded
