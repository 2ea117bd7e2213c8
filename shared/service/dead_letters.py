"""Dead letters: records that could not be processed, stored with the reason, listed, redriven, and limited in number.

Operators know them as parked records (`/parked`, `waymark_parked`). Past the limit a consumer halts instead: then not the
records are at fault, and a bad deploy would drain a topic into the table.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, func, select, update

from shared.bus.protocol import Partition, Record
from shared.bus.tables import dead_letter
from shared.db.keyset import in_order
from shared.db.protocol import Read, Tx
from shared.failures import Failure, Parked
from shared.ids import derived

_ID_NAMESPACE = "parked"  # ids that exist are derived from it
_c = dead_letter.c
MAX_WAITING_BYTES = 8 * 1024 * 1024
"""A record alone may have a MiB."""
MAX_CONSECUTIVE = 50
WINDOW = 1000
MAX_IN_WINDOW = WINDOW // 20
"""Five in a hundred."""


class InvalidRecord(NamedTuple):
    """A record and why it cannot be processed."""

    record: Record
    error: Failure


class DeadLetter(NamedTuple):
    """A stored record, as it was read, and why it could not be processed. `waits_for`: the id whose arrival redrives it."""

    id: str
    partition: Partition
    record: Record
    reason: str
    detail: str
    waits_for: str
    parked_at: datetime


async def add(tx: Tx, group: str, partition: Partition, invalid: Iterable[InvalidRecord], now: datetime) -> None:
    """Store the records with their reasons; one that was redriven and failed once more is open as before."""
    await tx.upsert(dead_letter, [_row(group, partition, record, error, now) for record, error in invalid])


def _row(group: str, partition: Partition, record: Record, error: Failure, now: datetime) -> dict[str, Any]:
    return {
        "id": dead_letter_id(group, partition.topic, partition.number, record.offset),
        "consumer_group": group,
        "topic": partition.topic,
        "partition": partition.number,
        "offset": record.offset,
        "sequence": record.sequence,
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


def dead_letter_id(group: str, topic: str, partition: int, offset: int) -> str:
    """The id of a record at that place."""
    return derived(_ID_NAMESPACE, group, topic, partition, offset)


class Waiting(NamedTuple):
    """Ids of dead letters, the oldest first, and whether there may be more."""

    ids: list[str]
    more: bool = False


async def ids_waiting_for(read: Read, group: str, subjects: Sequence[str], limit: int) -> Waiting:
    """Open dead letters that wait for one of these ids: so many at most, and of MAX_WAITING_BYTES together."""
    rows = await read.all(
        select(_c.id, func.length(_c.value).label("size"))
        .where(_c.consumer_group == group, _c.waits_for.in_(subjects), _c.waits_for != "", _c.redriven_at.is_(None))
        .order_by(_c.parked_at, _c.partition, _c.offset)
        .limit(limit)
    )
    sizes = accumulate(row.size for row in rows)
    ids = [row.id for row, size in zip(rows, sizes, strict=True) if size <= MAX_WAITING_BYTES or row is rows[0]]
    return Waiting(ids, len(rows) == limit or len(ids) < len(rows))


class DeadLetterFilter(NamedTuple):
    """The dead letters a list shows: those that match every filter given. `text` stands in the detail or in what it waits for."""

    reason: str | None = None
    text: str | None = None
    since: datetime | None = None


SORTS: Mapping[str, ColumnElement[Any]] = {"id": _c.id, "parked_at": _c.parked_at, "reason": _c.reason}
"""What dead letters may be sorted by."""


async def list_open(
    read: Read,
    group: str,
    wanted: DeadLetterFilter,
    after: tuple[Any, str] | None,
    limit: int,
    by: str = "id",
    *,
    descending: bool = False,
) -> Sequence[DeadLetter]:
    """Dead letters not yet redriven, in the order of one of SORTS, then of their ids; those behind this value and id."""
    found = select(dead_letter).where(*_open(group, wanted))
    rows = await read.all(in_order(found, SORTS[by], _c.id, after, descending=descending).limit(limit))
    return [_dead_letter(row) for row in rows]


async def count_matching(read: Read, group: str, wanted: DeadLetterFilter) -> int:
    """How many match."""
    return int(await read.scalar(select(func.count()).select_from(dead_letter).where(*_open(group, wanted))))


def _open(group: str, wanted: DeadLetterFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [_c.consumer_group == group, _c.redriven_at.is_(None)]
    if wanted.reason:
        found.append(_c.reason == wanted.reason)
    if wanted.text is not None:
        text = wanted.text.lower()
        in_detail, in_subject = (func.lower(c).contains(text, autoescape=True) for c in (_c.detail, _c.waits_for))
        found.append(in_detail | in_subject)
    if wanted.since is not None:
        found.append(_c.parked_at >= wanted.since)
    return found


async def count_open(read: Read) -> dict[tuple[str, str], int]:
    """How many are not yet redriven, by group and reason."""
    counted = select(_c.consumer_group, _c.reason, func.count().label("open")).where(_c.redriven_at.is_(None))
    rows = await read.all(counted.group_by(_c.consumer_group, _c.reason))
    return {(row.consumer_group, row.reason): row.open for row in rows}


async def take(tx: Tx, group: str, ids: Sequence[str], now: datetime) -> Sequence[DeadLetter]:
    """Mark these as redriven and return those that were open: each is returned once."""
    open_rows = update(dead_letter).where(_c.consumer_group == group, _c.id.in_(ids), _c.redriven_at.is_(None))
    return [_dead_letter(row) for row in await tx.all(open_rows.values(redriven_at=now).returning(*_c))]


def _dead_letter(row: Row[Any]) -> DeadLetter:
    partition = Partition(row.topic, row.partition)
    sequence = -1 if row.sequence is None else row.sequence
    record = Record(row.offset, sequence, row.timestamp, row.key, row.value, row.meta)
    return DeadLetter(row.id, partition, record, row.reason, row.detail, row.waits_for, row.parked_at)


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
