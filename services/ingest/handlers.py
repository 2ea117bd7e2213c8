"""What does ingest do with raw events? Drop what it has seen, find the account, publish; park what has no account yet."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Row

from services.ingest import store
from services.ingest.core.canonical import Draft, draft
from services.ingest.core.placing import Home, at_one, placed, unsure
from shared.bus.protocol import Partition
from shared.clock import Clock
from shared.contracts.topics import USAGE, USAGE_RAW
from shared.db.protocol import Tx
from shared.failures import Parked
from shared.service import dead_letters
from shared.service.dead_letters import InvalidRecord
from shared.service.processor import MessageBatch

GROUP = "ingest"
_PARTS = 1024
_EVER = datetime.min.replace(tzinfo=UTC)


class Handlers:
    """Handles `usage.raw.v1`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def raw(self, tx: Tx, batch: MessageBatch) -> None:
        """One batch of drafts."""
        now = self._clock.now()
        await store.turn_window(tx, now)
        first = {event.key: event for event in reversed(batch.messages)}
        new = await store.new_keys(tx, list(first), _named(batch.start_offset, batch.partition), now)
        fresh = [event for event in batch.messages if event.key in new and first[event.key] is event]
        await _place(tx, batch.partition, fresh, now)


async def redrive(tx: Tx, ids: Sequence[str], now: datetime) -> int:
    """Try parked records again; those still unfit are parked anew. How many were taken up."""
    await store.turn_window(tx, now)
    rows = await _taken_back(tx, ids, now)
    for row in rows:
        event = await _fit(tx, row, now)
        if event is not None and await _is_first(tx, row, event, now):
            await _place(tx, row.part, [event], now)
    return len(rows)


async def _is_first(tx: Tx, row: Row[Any], event: Draft, now: datetime) -> bool:
    """A record that waited for its account was remembered when it came in; any other may have come again meanwhile."""
    batch = ~_named(row.off, row.part)
    return bool(row.about or await store.new_keys(tx, [event.key], batch, now))


async def _place(tx: Tx, part: int, events: Sequence[Draft], now: datetime) -> None:
    """Publish events of one partition, or park them until their user's account is known."""
    known = await _homes(tx, events)
    found = placed(events, await _surely(tx, events, known, now))
    tx.emit(USAGE, found.ready)
    waiting = [InvalidRecord(event.record, _no_account(event.user)) for event in found.homeless]
    await dead_letters.add(tx, GROUP, Partition(USAGE_RAW.name, part), waiting, now)
    await _settle(tx, found.moved, now)


async def _homes(tx: Tx, events: Sequence[Draft]) -> dict[str, Home]:
    """Where the users of these events belong, as far as that is known. Nobody who is at home moves, whatever the time."""
    named = at_one(events)
    away = await store.elsewhere(tx, named)
    known = {user: Home(account, _EVER) for user, account in named.items() if user not in away}
    others = {event.user for event in events if event.user} - known.keys()
    return known | (await store.homes_of(tx, others) if others else {})


async def _settle(tx: Tx, moved: dict[str, Home], now: datetime) -> None:
    """Users whose account became known: remember it, and take up what waited for it, in the order in which it happened."""
    while moved:
        await store.remember_homes(tx, moved)
        rows = await _taken_back(tx, await _waiting(tx, moved), now)
        fit = [(row, await _fit(tx, row, now)) for row in rows]
        events = [msgspec.structs.replace(event, user=row.about) for row, event in fit if event is not None]
        events.sort(key=lambda event: (event.at, event.id))
        found = placed(events, await _surely(tx, events, moved, now))
        tx.emit(USAGE, found.ready)
        moved = found.moved


async def _surely(tx: Tx, events: Sequence[Draft], known: dict[str, Home], now: datetime) -> dict[str, Home]:
    """Where the users of these events belong; those in doubt are asked again, and locked."""
    doubtful = unsure(events, known)
    return known | await store.homes_locked(tx, doubtful, now) if doubtful else known


async def _waiting(tx: Tx, moved: dict[str, Home]) -> list[str]:
    pieces = [await dead_letters.waiting_for(tx, GROUP, some) for some in store.chunks(sorted(moved))]
    return [row.id for piece in pieces for row in piece]


async def _taken_back(tx: Tx, ids: Sequence[str], now: datetime) -> list[Row[Any]]:
    rows = [row for some in store.chunks(ids) for row in await dead_letters.take(tx, GROUP, some, now)]
    return sorted(rows, key=lambda row: (row.parked_at, row.part, row.off))


async def _fit(tx: Tx, row: Row[Any], now: datetime) -> Draft | None:
    """What the parked record says; None when it still cannot be taken, and is parked anew."""
    record = dead_letters.record_of(row)
    try:
        return draft(record)
    except Parked as why:
        await dead_letters.add(tx, GROUP, Partition(row.topic, row.part), [InvalidRecord(record, why)], now)
        return None


def _named(start: int, part: int) -> int:
    """A number no other batch has."""
    return start * _PARTS + part % _PARTS


def _no_account(user: str) -> Parked:
    return Parked("the user's account is not known yet", "no_account", user)
