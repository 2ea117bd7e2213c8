"""How far has this group read? The answer moves in the same transaction as the effects, fenced by an epoch.

Each commit moves the cursor from a to b under its row lock, only if it is still at a and the epoch still ours, and holds
exactly the effects of the records between: committed intervals tile the log, without overlap or hole.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, select, update

from shared.bus.protocol import Bounds, Partition
from shared.bus.tables import consumer_cursor
from shared.db.protocol import Read, Tx

_c = consumer_cursor.c
_HERE = (_c.grp == bindparam("of"), _c.topic == bindparam("in_topic"), _c.part == bindparam("in_part"))
_OURS = update(consumer_cursor).where(*_HERE, _c.epoch == bindparam("our_epoch")).values(updated_at=bindparam("now"))
_MOVE = _OURS.where(_c.next_off == bindparam("from_off")).values(
    next_off=bindparam("to_off"), next_seq=bindparam("to_seq"), last_hash=bindparam("to_hash")
)
_STATE = (_c.epoch, _c.next_off, _c.next_seq, _c.last_hash)
_READ = select(*_STATE).where(*_HERE)
_CLAIM = (
    update(consumer_cursor)
    .where(*_HERE)
    .values(epoch=_c.epoch + 1, owner=bindparam("by"), updated_at=bindparam("now"))
    .returning(*_STATE)
)

UNKNOWN = -1
"""A `next_seq` that the next record decides: where a group begins behind the start of the log, or was moved by hand."""


class Claim(NamedTuple):
    """Our right to a partition, and where we are. `next_seq`: the producer's own sequence that comes next.

    `last_hash`: the fingerprint of the record before `next_off`; empty where nobody knows it.
    """

    epoch: int
    next_off: int
    next_seq: int
    last_hash: bytes = b""

    @property
    def start(self) -> int:
        """Where to begin to read: one record back, if the log has to show again that it is the one we read."""
        return self.next_off - 1 if self.last_hash else self.next_off


def _at(group: str, partition: Partition) -> dict[str, Any]:
    return {"of": group, "in_topic": partition.topic, "in_part": partition.part}


async def claim(tx: Tx, group: str, partition: Partition, bounds: Bounds, owner: str, now: datetime) -> Claim:
    """Take the partition: every earlier owner is fenced from now on. A new group starts at the beginning."""
    fresh = {
        "grp": group,
        "topic": partition.topic,
        "part": partition.part,
        "next_off": bounds.begin,
        "next_seq": 0 if bounds.begin == 0 else UNKNOWN,
        "epoch": 0,
        "owner": owner,
        "updated_at": now,
    }
    await tx.insert_new(consumer_cursor, [fresh])
    row = await tx.first(_CLAIM, {**_at(group, partition), "by": owner, "now": now})
    assert row is not None  # noqa: S101  inserted just above, in this transaction
    return _claim(row)


async def move(tx: Tx, group: str, partition: Partition, before: Claim, after: Claim, now: datetime) -> bool:
    """Move from `before` to `after`; False when somebody else has the partition, or moved it."""
    mine = {**_at(group, partition), "our_epoch": before.epoch, "from_off": before.next_off, "now": now}
    to = {"to_off": after.next_off, "to_seq": after.next_seq, "to_hash": _offset(after.next_off) + after.last_hash}
    return await tx.run(_MOVE, mine | to) == 1


async def hold(tx: Tx, group: str, partition: Partition, epoch: int, now: datetime) -> bool:
    """Lock the cursor for this transaction without moving it; False when the partition is no longer ours."""
    return await tx.run(_OURS, {**_at(group, partition), "our_epoch": epoch, "now": now}) == 1


async def read(view: Read, group: str, partition: Partition) -> Claim | None:
    """Where the cursor is, whoever owns it: after an unknown commit this is the witness."""
    row = await view.first(_READ, _at(group, partition))
    return None if row is None else _claim(row)


def _claim(row: Row[Any]) -> Claim:
    """A hash speaks of the offset it was kept with: whoever moved the cursor without it has made it void."""
    kept, here = bytes(row.last_hash or b""), _offset(row.next_off)
    return Claim(row.epoch, row.next_off, row.next_seq, kept[len(here) :] if kept.startswith(here) else b"")


def _offset(offset: int) -> bytes:
    return offset.to_bytes(8, "big")
