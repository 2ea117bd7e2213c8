"""Saved counts: what a service counted beside the way of its events, over all of its processes and their restarts.

Counted in memory by key, with the latest of each, so that an event waits for nothing; bounded, so that no sender chooses how much
is kept; and written every few seconds: a process that is killed forgets the last of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, bindparam, delete, select, update

from shared.clock import Clock
from shared.db.columns import Utc
from shared.db.protocol import Database, Read, Tx
from shared.service.retention import RetentionPolicy
from shared.service.supervisor import run_periodically

K = TypeVar("K", bound=Any)
V = TypeVar("V")
MAX_KEYS = 500
"""Keys counted one by one; those past it are counted together."""
MAX_LABEL = 100
"""Characters that are kept of a text which a sender chose, and which names what is counted."""
OTHER = "(other)"
"""The label of what is counted together."""
_SAVE_SECONDS = 5.0
"""How often counts are written: what a killed process forgets of them."""
_MAX_SAVED = 2 * MAX_KEYS
"""Keys of a kind that are kept: those that were met last."""


class Count(NamedTuple, Generic[K, V]):
    """How often a key was met, and what came with it last."""

    key: K
    times: int
    latest: V


class LatestCounts(Generic[K, V]):
    """In memory, since the process began. Keys can be compared; `other` stands for those past MAX_KEYS."""

    def __init__(self, other: K) -> None:
        self._other = other
        self._found: dict[K, tuple[int, V]] = {}
        self._unsaved: dict[K, tuple[int, V]] = {}

    def add(self, key: K, latest: V, times: int = 1) -> None:
        """Count it."""
        if key not in self._found and len(self._found) >= MAX_KEYS:
            key = self._other
        for counts in (self._found, self._unsaved):
            before = counts[key][0] if key in counts else 0
            counts[key] = (before + times, latest)

    def listed(self) -> list[Count[K, V]]:
        """Every key, the most frequent first."""
        return most_frequent_first(self._found)

    def take_unsaved(self) -> list[Count[K, V]]:
        """What was counted since this was last asked."""
        taken, self._unsaved = self._unsaved, {}
        return most_frequent_first(taken)

    def give_back(self, counts: Iterable[Count[K, V]]) -> None:
        """They could not be saved: they are to be saved with what was counted meanwhile."""
        self._unsaved = merged(counts, self._unsaved)

    def over(self, saved: Iterable[Count[K, V]]) -> list[Count[K, V]]:
        """What is saved, and what was counted here since."""
        return most_frequent_first(merged(saved, self._unsaved))


def most_frequent_first(counts: dict[K, tuple[int, V]]) -> list[Count[K, V]]:
    """The counts, sorted; those that were met equally often by their keys."""
    found = [Count(key, times, latest) for key, (times, latest) in counts.items()]
    return sorted(found, key=lambda one: (-one.times, one.key))


def merged(earlier: Iterable[Count[K, V]], later: dict[K, tuple[int, V]]) -> dict[K, tuple[int, V]]:
    """Both together; the latest is that of the later ones."""
    both = {key: (times, latest) for key, times, latest in earlier}
    for key, (times, latest) in later.items():
        both[key] = (times + both.get(key, (0, latest))[0], latest)
    return both


def counts_table(name: str, metadata: MetaData) -> Table:
    """A service's table of counts. `kind` says what is counted, `key` (JSON) of what, `latest` (JSON) what came last."""
    return Table(
        name,
        metadata,
        Column("kind", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("times", BigInteger, nullable=False),
        Column("latest", Text, nullable=False),
        Column("counted_at", Utc, nullable=False),
    )


def expired_counts(table: Table, days: int) -> RetentionPolicy:
    """Counts of what was not met again for so long."""
    return RetentionPolicy(table, timedelta(days=days), [table.c.counted_at])


class Kind(NamedTuple, Generic[K, V]):
    """What is counted: its name, and the types of its keys and of what is kept of the latest."""

    name: str
    key: type[K]
    latest: type[V]


class SavedCounts(Generic[K, V]):
    """One kind of counts in a service's table, and what this process counted since it last wrote there."""

    def __init__(self, database: Database, table: Table, kind: Kind[K, V], counts: LatestCounts[K, V]) -> None:
        self._database = database
        self._table = table
        self._kind = kind
        self._counts = counts
        self._saving = asyncio.Lock()

    async def listed(self) -> Sequence[Count[K, V]]:
        """Every key that is kept, the most frequent first."""
        async with self._saving:
            async with self._database.snapshot() as read:
                saved = await self._saved(read)
            return self._counts.over(saved)

    async def save(self, now: datetime) -> None:
        """Add what was counted since."""
        async with self._saving:
            if taken := self._counts.take_unsaved():
                try:
                    async with self._database.transaction() as tx:
                        await self._add(tx, taken, now)
                except BaseException:
                    self._counts.give_back(taken)
                    raise

    async def _saved(self, read: Read) -> list[Count[K, V]]:
        c = self._table.c
        rows = await read.all(select(c.key, c.times, c.latest).where(c.kind == self._kind.name))
        key, latest = msgspec.json.Decoder(self._kind.key), msgspec.json.Decoder(self._kind.latest)
        return [Count(key.decode(row.key), row.times, latest.decode(row.latest)) for row in rows]

    async def _add(self, tx: Tx, counts: Sequence[Count[K, V]], now: datetime) -> None:
        """Two processes may do so at once: each finds the other's row or makes it, then adds to it, in the order of the keys."""
        texts = sorted((_json(count.key), count.times, _json(count.latest)) for count in counts)
        rows = [
            {"kind": self._kind.name, "key": key, "times": 0, "latest": latest, "counted_at": now}
            for key, _, latest in texts
        ]
        await tx.insert_new(self._table, rows)
        c = self._table.c
        more = (
            update(self._table)
            .where(c.kind == self._kind.name, c.key == bindparam("of_key"))
            .values(times=c.times + bindparam("more"), latest=bindparam("last"), counted_at=now)
        )
        await tx.each(more, [{"of_key": key, "more": times, "last": latest} for key, times, latest in texts])
        await self._forget_the_oldest(tx)

    async def _forget_the_oldest(self, tx: Tx) -> None:
        c = self._table.c
        of_kind = c.kind == self._kind.name
        oldest = select(c.counted_at).where(of_kind).order_by(c.counted_at.desc()).offset(_MAX_SAVED).limit(1)
        before = await tx.scalar(oldest)
        if before is not None:
            await tx.run(delete(self._table).where(of_kind, c.counted_at <= before))


def saving(counts: Iterable[SavedCounts[Any, Any]], clock: Clock) -> Callable[[], Awaitable[None]]:
    """A loop that saves these every few seconds, for ever."""

    async def save() -> int:
        for one in counts:
            await one.save(clock.now())
        return 0

    return partial(run_periodically, _SAVE_SECONDS, save)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
