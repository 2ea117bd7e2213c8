"""Store of ingest: the dedupe window of at least seven days, and the memberships of users in accounts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Select, Table, Text, bindparam, column, func, or_, select, update

from services.ingest.core.account_resolution import Membership
from services.ingest.tables import JsonPairs, Truncate, dedupe_keys, dedupe_week, membership
from shared.bus.tables import dead_letter
from shared.db.protocol import Read, Tx

T = TypeVar("T")
_DAYS = 7
_expected = JsonPairs(bindparam("expected", type_=Text)).table_valued(
    column("key", Text), column("value", Text), name="expected"
)
_NOT_MEMBERS = (
    select(_expected.c.key)
    .select_from(_expected.outerjoin(membership, membership.c.user_id == _expected.c.key))
    .where(or_(func.coalesce(membership.c.account_id, "") != _expected.c.value, membership.c.trusted.is_(False)))
)
_encode = msgspec.json.Encoder().encode
_CHUNK = 500


def week_of(now: datetime) -> int:
    """The number of the dedupe week."""
    return now.toordinal() // _DAYS


async def rotate_dedupe_window(tx: Tx, now: datetime) -> None:
    """At the start of a new week, empty the table of the week before last and fill that one."""
    week = week_of(now)
    if await tx.scalar(select(dedupe_week.c.week)) == week:
        return
    await tx.insert_new(dedupe_week, [{"id": 1, "week": -1}])
    if await tx.run(update(dedupe_week).where(dedupe_week.c.week < week).values(week=week)):
        await tx.run(Truncate(_table_of(week)))


async def insert_new_keys(tx: Tx, keys: Sequence[bytes], batch: int, now: datetime) -> set[bytes]:
    """Insert these distinct keys; returns those that are not in this week's or last week's table yet.

    They are written in order: two batches that hold the same keys wait for each other in one direction only.
    """
    week = week_of(now)
    current = _table_of(week)
    rows = [{"key": key, "batch": batch} for key in sorted(keys)]
    if await tx.insert_new(current, rows, unless_in=_table_of(week + 1)) == len(keys):
        return set(keys)
    of_batch = select(current.c.key).where(current.c.batch == batch)
    return {row.key for row in await tx.among(of_batch, current.c.key, keys)}


def _table_of(week: int) -> Table:
    return dedupe_keys[week % 2]


async def users_not_in(read: Read, expected: Mapping[str, str]) -> set[str]:
    """Of these users (user -> account) those who are not members of that account, or by a browser's word only.

    Few rows for a question about many.
    """
    if not expected:
        return set()
    return {row.key for row in await read.all(_NOT_MEMBERS, {"expected": _encode(expected).decode()})}


async def known_accounts(read: Read, accounts: Collection[str]) -> set[str]:
    """Of these accounts those that have a member."""
    column = membership.c.account_id
    return {row.account_id for row in await read.among(select(column).distinct(), column, accounts)}


async def known_users(read: Read, users: Collection[str]) -> set[str]:
    """Of these users those who are members, or whose events wait for their account."""
    column = membership.c.user_id
    return {row.user_id for row in await read.among(select(column), column, users)}


async def load_memberships(read: Read, users: Collection[str]) -> dict[str, Membership]:
    """The memberships of these users, where there is one."""
    return await _memberships(read, select(membership), users)


async def load_memberships_for_update(tx: Tx, users: Collection[str], now: datetime) -> dict[str, Membership]:
    """The memberships of these users, locked until the transaction ends.

    A user without a row gets an empty one: else there is nothing to lock, and a user's event could be parked while
    another process, which cannot see that yet, learns the user's account and redrives what waits for it.
    """
    await tx.insert_new(membership, [{"user_id": user, "account_id": "", "since": now} for user in sorted(users)])
    return await _memberships(tx, select(membership).with_for_update(), users)


async def _memberships(read: Read, statement: Select[Any], users: Collection[str]) -> dict[str, Membership]:
    rows = await read.among(statement, membership.c.user_id, users)
    return {row.user_id: Membership(row.account_id, row.since, row.trusted) for row in rows if row.account_id}


async def save_memberships(tx: Tx, memberships: Mapping[str, Membership]) -> None:
    """Insert or replace them, in the order of the users' ids."""
    rows = [
        {"user_id": user_id, "account_id": member.account_id, "since": member.since, "trusted": member.trusted}
        for user_id, member in sorted(memberships.items())
    ]
    await tx.upsert(membership, rows)


async def waiting_with_account(read: Read, group: str, limit: int) -> list[str]:
    """Parked events that wait for users who have an account, the longest waiting first."""
    c = dead_letter.c
    known = select(c.id).join(membership, membership.c.user_id == c.waits_for).where(membership.c.account_id != "")
    waiting = known.where(c.consumer_group == group, c.waits_for != "", c.redriven_at.is_(None))
    rows = await read.all(waiting.order_by(c.parked_at, c.partition, c.offset).limit(limit))
    return [row.id for row in rows]


def chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    """Pieces that fit into one statement: databases limit its parameters."""
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
