"""What does ingest remember? Which events it has seen for at least seven days, and whose users belong to which account."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Table, delete, select, update

from services.ingest.tables import seen, user, window
from shared.db.protocol import Read, Tx

T = TypeVar("T")
_WEEK = 7
_CHUNK = 500


def week_of(now: datetime) -> int:
    """The number of the dedupe week."""
    return now.toordinal() // _WEEK


async def turn_window(tx: Tx, now: datetime) -> None:
    """At the start of a new week, empty the table of the week before last and fill that one."""
    week = week_of(now)
    if await tx.scalar(select(window.c.week)) == week:
        return
    await tx.insert_new(window, [{"id": 1, "week": -1}])
    if await tx.run(update(window).where(window.c.week < week).values(week=week)):
        await tx.run(delete(_table(week)))


async def new_keys(tx: Tx, keys: Sequence[bytes], batch: int, now: datetime) -> set[bytes]:
    """Remember these distinct keys and say which were not seen in this week or the last."""
    week = week_of(now)
    current = _table(week)
    rows = [{"key": key, "batch": batch} for key in keys]
    if await tx.insert_new(current, rows, unless_in=_table(week + 1)) == len(keys):
        return set(keys)
    ours: set[bytes] = set()
    for some in _chunks(keys):
        mine = select(current.c.key).where(current.c.key.in_(some), current.c.batch == batch)
        ours |= {row.key for row in await tx.all(mine)}
    return ours


def _table(week: int) -> Table:
    return seen[week % 2]


async def accounts_of(read: Read, users: Collection[str]) -> dict[str, str]:
    """The known accounts of these users."""
    known: dict[str, str] = {}
    for some in _chunks(sorted(users)):
        rows = await read.all(select(user.c.id, user.c.account).where(user.c.id.in_(some)))
        known.update((row.id, row.account) for row in rows)
    return known


async def remember_accounts(tx: Tx, accounts: Mapping[str, str], now: datetime) -> None:
    """These users belong to these accounts from now on. Locked in id order."""
    await tx.upsert(user, [{"id": name, "account": accounts[name], "updated_at": now} for name in sorted(accounts)])


def _chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
