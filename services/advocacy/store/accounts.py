"""What do we remember of an account? All of its state in one row, which is also its timer."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select

from services.advocacy.core.account import Account, packed, unpacked
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.step import timer
from services.advocacy.tables import account
from shared.db.protocol import Read, Tx

_c = account.c


async def held(
    tx: Tx, ids: Collection[str], part_of: Callable[[str], int], definitions: Definitions
) -> dict[str, Account]:
    """These accounts, locked in id order until the transaction ends; begun where they are new, so that two who see one
    for the first time wait for each other.
    """
    await tx.insert_new(account, [_row(part_of(one), Account(id=one), definitions) for one in sorted(ids)])
    return await known(tx, ids)


async def known(tx: Tx, ids: Collection[str]) -> dict[str, Account]:
    """Those of these accounts that we know, locked alike."""
    rows = await tx.among(select(_c.id, _c.state).with_for_update(), _c.id, ids)
    return {row.id: unpacked(row.state) for row in rows}


async def keep(tx: Tx, accounts: Iterable[Account], part_of: Callable[[str], int], definitions: Definitions) -> None:
    """Write the accounts as they are now."""
    await tx.upsert(account, [_row(part_of(one.id), one, definitions) for one in accounts])


async def due(read: Read, part: int, until: datetime, limit: int) -> list[str]:
    """Accounts of a partition for which time has something to do, the longest overdue first."""
    waiting = select(_c.id).where(_c.part == part, _c.next_due <= until, _c.held.is_(False))
    return [row.id for row in await read.all(waiting.order_by(_c.next_due, _c.id).limit(limit))]


async def one(read: Read, name: str) -> Account:
    """One account as it is; as it begins, where nobody was heard of it."""
    stored = await read.scalar(select(_c.state).where(_c.id == name))
    return Account(id=name) if stored is None else unpacked(stored)


def _row(part: int, one: Account, definitions: Definitions) -> dict[str, Any]:
    return {
        "id": one.id,
        "part": part,
        "clock": one.clock,
        "next_due": timer(one, definitions),
        "held": not one.live,
        "state": packed(one),
    }
