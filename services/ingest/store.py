"""What does ingest remember? Which events it has seen for at least seven days, and whose users belong to which account."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Select, Table, Text, bindparam, column, func, select, update

from services.ingest.core.placing import Home
from services.ingest.tables import Emptied, Pairs, seen, user, window
from shared.db.protocol import Read, Tx

T = TypeVar("T")
_WEEK = 7
_named = Pairs(bindparam("named", type_=Text)).table_valued(column("key", Text), column("value", Text), name="named")
_ELSEWHERE = (
    select(_named.c.key)
    .select_from(_named.outerjoin(user, user.c.id == _named.c.key))
    .where(func.coalesce(user.c.account, "") != _named.c.value)
)
_json = msgspec.json.Encoder().encode
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
        await tx.run(Emptied(_table(week)))


async def new_keys(tx: Tx, keys: Sequence[bytes], batch: int, now: datetime) -> set[bytes]:
    """Remember these distinct keys and say which were not seen in this week or the last.

    They are written in order: two batches that hold the same keys wait for each other in one direction only.
    """
    week = week_of(now)
    current = _table(week)
    rows = [{"key": key, "batch": batch} for key in sorted(keys)]
    if await tx.insert_new(current, rows, unless_in=_table(week + 1)) == len(keys):
        return set(keys)
    mine = select(current.c.key).where(current.c.batch == batch)
    return {row.key for row in await tx.among(mine, current.c.key, keys)}


def _table(week: int) -> Table:
    return seen[week % 2]


async def elsewhere(read: Read, named: Mapping[str, str]) -> set[str]:
    """Those of these users who do not belong to the account named for them; an answer of few rows to a question of many."""
    if not named:
        return set()
    return {row.key for row in await read.all(_ELSEWHERE, {"named": _json(named).decode()})}


async def homes_of(read: Read, users: Collection[str]) -> dict[str, Home]:
    """Where these users belong, as far as that is known."""
    return await _homes(read, select(user), users)


async def homes_locked(tx: Tx, users: Collection[str], now: datetime) -> dict[str, Home]:
    """Where these users belong, told to nobody else until this transaction ends.

    A user nobody knows yet gets an empty row: else there is nothing to lock, and a user's event could be parked while
    another process, which cannot see that yet, learns the user's account and takes up what waits for it.
    """
    await tx.insert_new(user, [{"id": name, "account": "", "updated_at": now} for name in sorted(users)])
    return await _homes(tx, select(user).with_for_update(), users)


async def _homes(read: Read, statement: Select[Any], users: Collection[str]) -> dict[str, Home]:
    rows = await read.among(statement, user.c.id, users)
    return {row.id: Home(row.account, row.updated_at) for row in rows if row.account}


async def remember_homes(tx: Tx, homes: Mapping[str, Home]) -> None:
    """These users belong there from now on. Locked in id order."""
    rows = [{"id": name, "account": home.account, "updated_at": home.since} for name, home in sorted(homes.items())]
    await tx.upsert(user, rows)


def chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    """Pieces that fit into one statement: databases limit its parameters."""
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
