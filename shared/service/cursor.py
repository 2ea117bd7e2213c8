"""How far has this group read? The answer moves in the same transaction as the effects, fenced by an epoch.

Each commit moves the cursor from a to b under its row lock, only if it is still at a and the epoch still ours, and holds
exactly the effects of the records between: committed intervals tile the log, without overlap or hole.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select, update

from shared.bus.protocol import Bounds, Partition
from shared.bus.tables import consumer_cursor
from shared.db.protocol import Read, Tx

_c = consumer_cursor.c
_HERE = (_c.grp == bindparam("of"), _c.topic == bindparam("in_topic"), _c.part == bindparam("in_part"))
_OURS = update(consumer_cursor).where(*_HERE, _c.epoch == bindparam("our_epoch")).values(updated_at=bindparam("now"))
_MOVE = _OURS.where(_c.next_off == bindparam("from_off")).values(
    next_off=bindparam("to_off"), next_seq=bindparam("to_seq")
)
_READ = select(_c.epoch, _c.next_off, _c.next_seq).where(*_HERE)
_CLAIM = (
    update(consumer_cursor)
    .where(*_HERE)
    .values(epoch=_c.epoch + 1, owner=bindparam("by"), updated_at=bindparam("now"))
    .returning(_c.epoch, _c.next_off, _c.next_seq)
)


class Claim(NamedTuple):
    """Our right to a partition, and where we are. `next_seq`: the producer's own sequence that comes next."""

    epoch: int
    next_off: int
    next_seq: int


def _at(group: str, partition: Partition) -> dict[str, Any]:
    return {"of": group, "in_topic": partition.topic, "in_part": partition.part}


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
    row = await tx.first(_CLAIM, {**_at(group, partition), "by": owner, "now": now})
    assert row is not None  # noqa: S101  inserted just above, in this transaction
    return Claim(row.epoch, row.next_off, row.next_seq)


async def move(tx: Tx, group: str, partition: Partition, before: Claim, after: Claim, now: datetime) -> bool:
    """Move from `before` to `after`; False when somebody else has the partition, or moved it."""
    mine = {**_at(group, partition), "our_epoch": before.epoch, "from_off": before.next_off, "now": now}
    return await tx.run(_MOVE, {**mine, "to_off": after.next_off, "to_seq": after.next_seq}) == 1


async def hold(tx: Tx, group: str, partition: Partition, epoch: int, now: datetime) -> bool:
    """Lock the cursor for this transaction without moving it; False when the partition is no longer ours."""
    return await tx.run(_OURS, {**_at(group, partition), "our_epoch": epoch, "now": now}) == 1


async def read(view: Read, group: str, partition: Partition) -> Claim | None:
    """Where the cursor is, whoever owns it: after an unknown commit this is the witness."""
    row = await view.first(_READ, _at(group, partition))
    return None if row is None else Claim(row.epoch, row.next_off, row.next_seq)
