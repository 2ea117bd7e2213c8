"""Handler of `usage.raw.v1`: drops duplicates, resolves accounts, publishes; parks events that have no account yet."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from services.ingest import store
from services.ingest.core.account_resolution import Membership, resolve, unanimous_accounts, users_to_lock
from services.ingest.core.canonical import BOUNDS, CanonicalEvent, TimeBounds, canonical_event, with_believable_time
from services.ingest.corrected_times import CorrectedTimes
from shared.bus.protocol import Partition, Record
from shared.clock import Clock
from shared.contracts.topics import USAGE, USAGE_RAW
from shared.db.protocol import Tx
from shared.failures import Parked
from shared.service import dead_letters
from shared.service.dead_letters import DeadLetter, InvalidRecord, Waiting
from shared.service.processor import MessageBatch

GROUP = "ingest"
_MAX_PARTITIONS = 1024
REDRIVEN_AT_ONCE = 100
"""How many parked records one transaction takes that takes nothing else."""
WAITING_AT_ONCE = 500
"""How many parked events may be published with the event that tells the account they waited for; the rest follows by itself."""
_SINCE_EVER = datetime.min.replace(tzinfo=UTC)


class Handlers:
    """Handles `usage.raw.v1`."""

    def __init__(self, clock: Clock, bounds: TimeBounds = BOUNDS) -> None:
        self._clock = clock
        self._bounds = bounds
        self.corrected_times = CorrectedTimes()
        self.waiting_left = asyncio.Event()
        """Set when events may have been left that wait for a user who has an account by now."""

    def read(self, record: Record) -> CanonicalEvent:
        """Decode one raw record. Raises Parked."""
        if not record.meta:
            record = with_believable_time(record, self._clock.now(), self._bounds)
        return canonical_event(record, self._bounds)

    async def raw_events(self, tx: Tx, batch: MessageBatch) -> None:
        """One batch of canonical events."""
        now = self._clock.now()
        await store.rotate_dedupe_window(tx, now)
        messages = await store.drop_known_of_imports(tx, batch.partition, self._received_by(now, batch.messages), now)
        if not messages:
            return
        first = {event.dedupe_key: event for event in reversed(messages)}
        new = await store.insert_new_keys(tx, list(first), _batch_number(batch.start_offset, batch.partition), now)
        unique = [event for event in messages if event.dedupe_key in new and first[event.dedupe_key] is event]
        self.corrected_times.count(unique)
        if await _publish_or_park(tx, batch.partition, unique, now, self._bounds):
            self.waiting_left.set()

    def _received_by(self, now: datetime, events: Sequence[CanonicalEvent]) -> Sequence[CanonicalEvent]:
        """The events, none of them received later than now: a server whose clock was ahead has stamped those that say so."""
        latest = now + self._bounds.ahead
        if all(event.received_at <= latest for event in events):
            return events
        return [
            event
            if event.received_at <= latest
            else canonical_event(with_believable_time(event.record, now, self._bounds), self._bounds)
            for event in events
        ]


async def redrive(tx: Tx, ids: Sequence[str], now: datetime, bounds: TimeBounds = BOUNDS) -> int:
    """Process parked records again; those that are still invalid are parked anew. Returns how many were taken."""
    await store.rotate_dedupe_window(tx, now)
    taken = await _take_parked(tx, ids, now)
    for parked in taken:
        event = await _event_or_park(tx, parked, now, bounds)
        if event is not None and await _is_first(tx, parked, event, now):
            await _publish_or_park(tx, parked.partition.number, [event], now, bounds)
    return len(taken)


async def publish_waiting(tx: Tx, ids: Sequence[str], now: datetime, bounds: TimeBounds = BOUNDS) -> int:
    """Publish parked events whose users have an account by now, in the order of their times. How many were taken."""
    taken = await _take_parked(tx, ids, now)
    for partition in sorted({parked.partition.number for parked in taken}):
        events = await _events_of(tx, [one for one in taken if one.partition.number == partition], now, bounds)
        await _publish_or_park(tx, partition, events, now, bounds)
    return len(taken)


async def _events_of(tx: Tx, taken: Sequence[DeadLetter], now: datetime, bounds: TimeBounds) -> list[CanonicalEvent]:
    """Their events, of the users they waited for, in the order of their times; what is still invalid is parked anew."""
    valid = [(parked.waits_for, await _event_or_park(tx, parked, now, bounds)) for parked in taken]
    events = [msgspec.structs.replace(event, user_id=user_id) for user_id, event in valid if event is not None]
    return sorted(events, key=lambda event: (event.at, event.id))


async def _is_first(tx: Tx, parked: DeadLetter, event: CanonicalEvent, now: datetime) -> bool:
    """The key of a record that waited for its account was inserted on arrival; any other may have a copy meanwhile."""
    batch = ~_batch_number(parked.record.offset, parked.partition.number)
    return bool(parked.waits_for or await store.insert_new_keys(tx, [event.dedupe_key], batch, now))


async def _publish_or_park(
    tx: Tx, partition: int, events: Sequence[CanonicalEvent], now: datetime, bounds: TimeBounds
) -> bool:
    """Publish events of one partition, or park them until their user's account is known. Whether some may be left that waited for it."""
    memberships = await _memberships(tx, events)
    resolution = resolve(events, await _with_locked(tx, events, memberships, now))
    tx.emit(USAGE, resolution.resolved)
    unresolved = [InvalidRecord(event.record, _no_account(event.user_id)) for event in resolution.unresolved]
    await dead_letters.add(tx, GROUP, Partition(USAGE_RAW.name, partition), unresolved, now)
    return await _save_and_redrive_waiting(tx, resolution.changed, now, bounds)


async def _memberships(tx: Tx, events: Sequence[CanonicalEvent]) -> dict[str, Membership]:
    """The memberships of these events' users. One that the events only confirm is not read: its time does not matter."""
    expected = unanimous_accounts(events)
    not_members = await store.users_not_in(tx, expected)
    confirmed = {
        user_id: Membership(account_id, _SINCE_EVER)
        for user_id, account_id in expected.items()
        if user_id not in not_members
    }
    others = {event.user_id for event in events if event.user_id} - confirmed.keys()
    return confirmed | (await store.load_memberships(tx, others) if others else {})


async def _save_and_redrive_waiting(tx: Tx, changed: dict[str, Membership], now: datetime, bounds: TimeBounds) -> bool:
    """Save changed memberships, and publish the parked events that waited for them, in the order of their times.

    As many as one transaction should hold (WAITING_AT_ONCE): whether some may be left.
    """
    room, left = WAITING_AT_ONCE, False
    while changed:
        await store.save_memberships(tx, changed)
        waiting = await _waiting_for(tx, changed, room)
        taken = await _take_parked(tx, waiting.ids, now)
        room, left = room - len(taken), left or waiting.more
        events = await _events_of(tx, taken, now, bounds)
        resolution = resolve(events, await _with_locked(tx, events, changed, now))
        tx.emit(USAGE, resolution.resolved)
        changed = resolution.changed
    return left


async def _with_locked(
    tx: Tx, events: Sequence[CanonicalEvent], memberships: dict[str, Membership], now: datetime
) -> dict[str, Membership]:
    """The memberships, where those that these events may change or wait for are locked and read anew."""
    users = users_to_lock(events, memberships)
    return memberships | await store.load_memberships_for_update(tx, users, now) if users else memberships


async def _waiting_for(tx: Tx, changed: dict[str, Membership], room: int) -> Waiting:
    found: list[str] = []
    for users in store.chunks(sorted(changed)):
        ids, more = await dead_letters.ids_waiting_for(tx, GROUP, users, room - len(found))
        found += ids
        if more:
            return Waiting(found, more)
    return Waiting(found)


async def _take_parked(tx: Tx, ids: Sequence[str], now: datetime) -> list[DeadLetter]:
    parked = [one for some in store.chunks(ids) for one in await dead_letters.take(tx, GROUP, some, now)]
    return sorted(parked, key=lambda one: (one.parked_at, one.partition.number, one.record.offset))


async def _event_or_park(tx: Tx, parked: DeadLetter, now: datetime, bounds: TimeBounds) -> CanonicalEvent | None:
    """The parked record's event; None when it is still invalid, and is parked anew."""
    try:
        return canonical_event(with_believable_time(parked.record, now, bounds), bounds)
    except Parked as why:
        await dead_letters.add(tx, GROUP, parked.partition, [InvalidRecord(parked.record, why)], now)
        return None


def _batch_number(offset: int, partition: int) -> int:
    """A number that no other batch has."""
    return offset * _MAX_PARTITIONS + partition % _MAX_PARTITIONS


def _no_account(user_id: str) -> Parked:
    return Parked("the user's account is not known yet", "no_account", user_id)
