"""Account repository of advocacy: an account's state in a row, which is also its timer."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select

from services.advocacy.core.account import Account, decode_account, encode_account
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.reducer import timer
from services.advocacy.tables import account
from shared.db.protocol import Read, Tx

_c = account.c


async def load_or_create_for_update(
    tx: Tx, ids: Collection[str], partition_of: Callable[[str], int], definitions: Definitions
) -> dict[str, Account]:
    """These accounts, locked in id order until the transaction ends; unknown ones are created first, so that two
    transactions that see one for the first time wait for each other.
    """
    new = [_row(partition_of(account_id), Account(id=account_id), definitions) for account_id in sorted(ids)]
    await tx.insert_new(account, new)
    return await load_for_update(tx, ids)


async def load_for_update(tx: Tx, ids: Collection[str]) -> dict[str, Account]:
    """Those of these accounts that are known, locked alike."""
    rows = await tx.among(select(_c.id, _c.state).with_for_update(), _c.id, ids)
    return {row.id: decode_account(row.state) for row in rows}


async def save(
    tx: Tx, accounts: Iterable[Account], partition_of: Callable[[str], int], definitions: Definitions
) -> None:
    """Write the accounts as they are now."""
    await tx.upsert(account, [_row(partition_of(each.id), each, definitions) for each in accounts])


async def due(read: Read, partition: int, until: datetime, limit: int) -> list[str]:
    """Accounts of a partition for which time has something to do, the longest overdue first."""
    waiting = select(_c.id).where(_c.part == partition, _c.next_due <= until, _c.held.is_(False))
    return [row.id for row in await read.all(waiting.order_by(_c.next_due, _c.id).limit(limit))]


async def load(read: Read, account_id: str) -> Account:
    """One account as it is; as it begins, where nothing is known of it."""
    stored = await read.scalar(select(_c.state).where(_c.id == account_id))
    return Account(id=account_id) if stored is None else decode_account(stored)


def _row(partition: int, state: Account, definitions: Definitions) -> dict[str, Any]:
    return {
        "id": state.id,
        "part": partition,
        "clock": state.clock,
        "next_due": timer(state, definitions),
        "held": not state.live,
        "state": encode_account(state),
    }
