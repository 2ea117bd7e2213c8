"""How far has this group read? The answer moves in the same transaction as the effects, fenced by an epoch.

Each commit moves the cursor from a to b under its row lock, only if it is still at a and the epoch still ours, and holds
exactly the effects of the records between: committed intervals tile the log, without overlap or hole.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, select, update

from shared.bus.protocol import Bounds, Partition
from shared.bus.tables import consumer_cursor
from shared.db.protocol import Read, Tx

_c = consumer_cursor.c


class Claim(NamedTuple):
    """Our right to a partition, and where we are. `next_seq`: the producer's own sequence that comes next."""

    epoch: int
    next_off: int
    next_seq: int


def _at(group: str, partition: Partition) -> tuple[ColumnElement[bool], ...]:
    return (_c.grp == group, _c.topic == partition.topic, _c.part == partition.part)


async def claim(tx: Tx, group: str, partition: Partition, bounds: Bounds, owner: str, now: datetime) -> Claim:
    """Take the partition: every earlier owner is fenced from now on. A new group starts at the beginning."""
    fresh = {
        "grp": group,
        "topic": partition.topic,
        "part": partition.part,
        "next_off": bounds.begin,
        "next_seq": 0,
        "epoch": 0,
        "owner": owner,
        "updated_at": now,
    }
    await tx.insert_new(consumer_cursor, [fresh])
    taken = update(consumer_cursor).where(*_at(group, partition))
    taken = taken.values(epoch=_c.epoch + 1, owner=owner, updated_at=now)
    row = await tx.first(taken.returning(_c.epoch, _c.next_off, _c.next_seq))
    assert row is not None  # noqa: S101  inserted just above, in this transaction
    return Claim(row.epoch, row.next_off, row.next_seq)


async def move(tx: Tx, group: str, partition: Partition, before: Claim, after: Claim, now: datetime) -> bool:
    """Move from `before` to `after`; False when somebody else has the partition, or moved it."""
    mine = (*_at(group, partition), _c.epoch == before.epoch, _c.next_off == before.next_off)
    values = {"next_off": after.next_off, "next_seq": after.next_seq, "updated_at": now}
    return await tx.run(update(consumer_cursor).where(*mine).values(values)) == 1


async def hold(tx: Tx, group: str, partition: Partition, epoch: int, now: datetime) -> bool:
    """Lock the cursor for this transaction without moving it; False when the partition is no longer ours."""
    mine = (*_at(group, partition), _c.epoch == epoch)
    return await tx.run(update(consumer_cursor).where(*mine).values(updated_at=now)) == 1


async def read(view: Read, group: str, partition: Partition) -> Claim | None:
    """Where the cursor is, whoever owns it: after an unknown commit this is the witness."""
    row = await view.first(select(_c.epoch, _c.next_off, _c.next_seq).where(*_at(group, partition)))
    return None if row is None else Claim(row.epoch, row.next_off, row.next_seq)
