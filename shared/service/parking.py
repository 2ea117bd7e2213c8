"""Where do records go that cannot be taken? Into a table of the service, with the reason, to be listed and redriven."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, select, update

from shared.bus.protocol import Partition, Record
from shared.bus.tables import parked
from shared.db.protocol import Read, Tx
from shared.failures import Failure, Parked
from shared.ids import derived


class Unfit(NamedTuple):
    """A record and why it cannot be taken."""

    record: Record
    why: Failure


async def park(tx: Tx, group: str, partition: Partition, unfit: Iterable[Unfit], now: datetime) -> None:
    """Keep the records with their reasons; one that was taken back and failed again waits again."""
    await tx.upsert(parked, [_row(group, partition, record, why, now) for record, why in unfit])


def _row(group: str, partition: Partition, record: Record, why: Failure, now: datetime) -> dict[str, Any]:
    return {
        "id": derived("parked", group, partition.topic, partition.part, record.offset),
        "grp": group,
        "topic": partition.topic,
        "part": partition.part,
        "off": record.offset,
        "key": record.key,
        "value": record.value,
        "meta": record.meta,
        "timestamp": record.timestamp,
        "reason": why.code,
        "detail": str(why)[:500],
        "about": why.about if isinstance(why, Parked) else "",
        "parked_at": now,
        "redriven_at": None,
    }


async def waiting_for(read: Read, group: str, about: Sequence[str]) -> Sequence[Row[Any]]:
    """Parked records that wait for one of these to become known, oldest first."""
    c = parked.c
    return await read.all(
        select(parked)
        .where(c.grp == group, c.about.in_(about), c.about != "", c.redriven_at.is_(None))
        .order_by(c.parked_at, c.part, c.off)
    )


async def listed(read: Read, group: str, reason: str | None, after: str, limit: int) -> Sequence[Row[Any]]:
    """Parked records not yet redriven, by id."""
    c = parked.c
    statement = select(parked).where(c.grp == group, c.redriven_at.is_(None), c.id > after)
    if reason:
        statement = statement.where(c.reason == reason)
    return await read.all(statement.order_by(c.id).limit(limit))


async def take_back(tx: Tx, group: str, ids: Sequence[str], now: datetime) -> Sequence[Row[Any]]:
    """Mark these as redriven and give the ones that were still waiting: each is handed out once."""
    open_ones = update(parked).where(parked.c.grp == group, parked.c.id.in_(ids), parked.c.redriven_at.is_(None))
    return await tx.all(open_ones.values(redriven_at=now).returning(*parked.c))


def record_of(row: Row[Any]) -> Record:
    """The record as it was read."""
    return Record(row.off, -1, row.timestamp, row.key, row.value, row.meta)
