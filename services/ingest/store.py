"""Store of ingest: the dedupe window of at least seven days, the marks of imports, and the memberships of users in accounts.

An import's events are known by their positions, for ever. The dedupe window knows what came within a week. What is older than it
is known by marks: within a stream of an import, positions are sent in order, each batch once the one before is safe in the log. So
whatever lies at or below a position that was seen before the window began has been seen, and is dropped. Of what came since, the
window itself knows each: a batch that was only half written and is sent again is whole then.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Row, Select, Table, Text, bindparam, column, func, or_, select, update

from services.ingest.core.account_resolution import Membership
from services.ingest.core.canonical import CanonicalEvent
from services.ingest.tables import JsonPairs, Truncate, dedupe_keys, dedupe_week, import_mark, membership
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
_KNOWN_ACCOUNTS = select(membership.c.account_id).distinct()
_KNOWN_USERS = select(membership.c.user_id)
_MEMBERSHIPS = select(membership)
_MEMBERSHIPS_LOCKED = _MEMBERSHIPS.with_for_update()
_encode = msgspec.json.Encoder().encode
_CHUNK = 500
_mark = import_mark.c


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
    return {row.account_id for row in await read.among(_KNOWN_ACCOUNTS, membership.c.account_id, accounts)}


async def known_users(read: Read, users: Collection[str]) -> set[str]:
    """Of these users those who are members, or whose events wait for their account."""
    return {row.user_id for row in await read.among(_KNOWN_USERS, membership.c.user_id, users)}


async def load_memberships(read: Read, users: Collection[str]) -> dict[str, Membership]:
    """The memberships of these users, where there is one."""
    return await _memberships(read, _MEMBERSHIPS, users)


async def load_memberships_for_update(tx: Tx, users: Collection[str], now: datetime) -> dict[str, Membership]:
    """The memberships of these users, locked until the transaction ends.

    A user without a row gets an empty one: else there is nothing to lock, and a user's event could be parked while
    another process, which cannot see that yet, learns the user's account and redrives what waits for it.
    """
    await tx.insert_new(membership, [{"user_id": user, "account_id": "", "since": now} for user in sorted(users)])
    return await _memberships(tx, _MEMBERSHIPS_LOCKED, users)


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


class Stream(NamedTuple):
    """A part of an import whose events are sent in order."""

    source: str
    import_id: str
    stream: str


class Mark(NamedTuple):
    """The highest position of a stream seen in a week, in the week before it, and earlier."""

    week: int
    this_week: int = 0
    week_before: int = 0
    earlier: int = 0

    def at(self, week: int) -> "Mark":
        """The same, seen from a later week."""
        if week <= self.week:
            return self
        if week == self.week + 1:
            return Mark(week, 0, self.this_week, max(self.earlier, self.week_before))
        return Mark(week, 0, 0, max(self.earlier, self.week_before, self.this_week))


async def drop_known_of_imports(
    tx: Tx, partition: int, events: Sequence[CanonicalEvent], now: datetime
) -> Sequence[CanonicalEvent]:
    """The events without those that an import repeats after the dedupe window; notes how far imports have come."""
    highest = _highest(events)
    if not highest:
        return events
    week = week_of(now)
    marks, own = await _known_positions(tx, highest, partition, week)
    await _save_marks(tx, partition, {stream: own.get(stream, Mark(week)) for stream in highest}, highest)
    return [event for event in events if (of := _stream_of(event)) is None or _position(event) > marks.get(of, 0)]


def _stream_of(event: CanonicalEvent) -> Stream | None:
    if event.place is None or event.history is None:
        return None
    return Stream(event.source, event.history, event.place.stream)


def _position(event: CanonicalEvent) -> int:
    return event.place.position if event.place is not None else 0


def _highest(events: Iterable[CanonicalEvent]) -> dict[Stream, int]:
    found: dict[Stream, int] = {}
    for event in events:
        if event.place is not None and (stream := _stream_of(event)) is not None:
            found[stream] = max(found.get(stream, 0), event.place.position)
    return found


async def _known_positions(
    read: Read, streams: Mapping[Stream, int], partition: int, week: int
) -> tuple[dict[Stream, int], dict[Stream, Mark]]:
    """Up to where each stream is known from before the window, and its marks in this partition."""
    rows: list[Row[tuple[object, ...]]] = await read.among(
        select(import_mark), _mark.import_id, {stream.import_id for stream in streams}
    )
    known: dict[Stream, int] = {}
    own: dict[Stream, Mark] = {}
    for row in rows:
        stream = Stream(row.source, row.import_id, row.stream)
        mark = Mark(row.week, row.this_week, row.week_before, row.earlier).at(week)
        if stream in streams:
            # of whatever partition: its events may have been in another when there were fewer
            known[stream] = max(known.get(stream, 0), mark.earlier)
            if row.partition == partition:
                own[stream] = mark
    return known, own


async def _save_marks(tx: Tx, partition: int, marks: Mapping[Stream, Mark], highest: Mapping[Stream, int]) -> None:
    rows = [
        {
            **stream._asdict(),
            "partition": partition,
            **mark._replace(this_week=max(mark.this_week, highest[stream]))._asdict(),
        }
        for stream, mark in sorted(marks.items())
    ]
    await tx.upsert(import_mark, rows)
