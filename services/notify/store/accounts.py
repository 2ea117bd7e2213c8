"""What do we remember of accounts? The state of each, and when time has something to do for it."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select

from services.notify.core.engine import next_due
from services.notify.core.state import Account, decode, encode
from services.notify.tables import account
from shared.db.protocol import Read, Tx

_c = account.c
PartOf = Callable[[str], int]
"""The partition of `lifecycle.v1` that holds an account's messages."""


async def locked(tx: Tx, ids: Collection[str]) -> dict[str, Account]:
    """The accounts of these that are known, locked in id order until the transaction ends."""
    rows = await tx.among(select(_c.id, _c.state).with_for_update(), _c.id, ids)
    return {row.id: decode(row.state) for row in rows}


async def begun(tx: Tx, ids: Collection[str], part_of: PartOf) -> dict[str, Account]:
    """All of these, locked; unknown ones are begun.

    Written before they are locked: readers of two topics may meet a new account in two transactions at once.
    """
    found = await locked(tx, ids)
    missing = sorted(set(ids) - found.keys())
    if missing:
        await tx.insert_new(account, [_row(part_of(name), Account(name)) for name in missing])
        found |= await locked(tx, missing)
    return found


async def due(read: Read, part: int, until: datetime, limit: int) -> list[str]:
    """Accounts of a partition for which time has something to do, the longest overdue first."""
    waiting = select(_c.id).where(_c.part == part, _c.next_due <= until, _c.held.is_(False))
    return [row.id for row in await read.all(waiting.order_by(_c.next_due).limit(limit))]


async def keep(tx: Tx, part_of: PartOf, accounts: Iterable[Account]) -> None:
    """Write the accounts as they are now."""
    await tx.upsert(account, [_row(part_of(one.id), one) for one in accounts])


def _row(part: int, one: Account) -> dict[str, Any]:
    return {
        "id": one.id,
        "part": part,
        "clock": one.clock,
        "next_due": next_due(one),
        "held": one.held,
        "state": encode(one),
    }
