"""What does ingest do with raw events? Drop what it has seen, find the account, publish; park what has no account yet."""

from collections.abc import Sequence
from datetime import datetime

from services.ingest import store
from services.ingest.core.canonical import Draft, draft
from shared.bus.protocol import Partition
from shared.clock import Clock
from shared.contracts.topics import USAGE, USAGE_RAW
from shared.contracts.usage import UsageEvent
from shared.db.protocol import Tx
from shared.failures import Parked
from shared.service import parking
from shared.service.parking import Unfit
from shared.service.passage import Incoming

GROUP = "ingest"
_PARTS = 1024


class Handlers:
    """Handles `usage.raw.v1`. Keeps a cache of users' accounts: only what it read from the store, so never ahead of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[str, str] = {}

    async def raw(self, tx: Tx, incoming: Incoming) -> None:
        """One batch of drafts."""
        now = self._clock.now()
        await store.turn_window(tx, now)
        by_key = {event.key: event for event in reversed(incoming.messages)}
        batch = incoming.start * _PARTS + incoming.part % _PARTS
        new = await store.new_keys(tx, list(by_key), batch, now)
        fresh = [event for event in incoming.messages if event.key in new and by_key[event.key] is event]
        await self._resolve(tx, incoming.part, fresh, now)

    async def redrive(self, tx: Tx, ids: Sequence[str], now: datetime) -> int:
        """Try parked records again; those still unfit are parked anew. How many were taken up."""
        rows = await parking.take_back(tx, ids, now)
        for row in rows:
            record = parking.record_of(row)
            partition = Partition(row.topic, row.part)
            try:
                event = draft(record)
            except Parked as why:
                await parking.park(tx, GROUP, partition, [Unfit(record, why)], now)
                continue
            await store.new_keys(tx, [event.key], -1, now)
            await self._resolve(tx, row.part, [event], now)
        return len(rows)

    async def _resolve(self, tx: Tx, part: int, events: Sequence[Draft], now: datetime) -> None:
        known = await self._known(tx, {event.user for event in events if event.user})
        moved: dict[str, str] = {}
        ready, homeless = [], []
        for event in events:
            account = event.account or known.get(event.user, "")
            if event.user and account and known.get(event.user) != account:
                known[event.user] = moved[event.user] = account
            if event.type == "alias" and account and event.previous:
                known[event.previous] = moved[event.previous] = account
            if account:
                ready.append(_published(event, account))
            else:
                homeless.append(
                    Unfit(event.record, Parked("the user's account is not known yet", "no_account", event.user))
                )
        tx.emit(USAGE, ready)
        await parking.park(tx, GROUP, Partition(USAGE_RAW.name, part), homeless, now)
        await self._settle(tx, moved, now)

    async def _settle(self, tx: Tx, moved: dict[str, str], now: datetime) -> None:
        """Users whose account became known: remember it, and take up what waited for it."""
        if not moved:
            return
        for name in moved:
            self._accounts.pop(name, None)
        await store.remember_accounts(tx, moved, now)
        waiting = await parking.waiting_for(tx, GROUP, sorted(moved))
        taken = await parking.take_back(tx, [row.id for row in waiting], now) if waiting else []
        events = sorted((draft(parking.record_of(row)) for row in taken), key=lambda event: (event.at, event.id))
        tx.emit(USAGE, [_published(event, moved[event.user]) for event in events])

    async def _known(self, tx: Tx, users: set[str]) -> dict[str, str]:
        unread = users - self._accounts.keys()
        if len(self._accounts) > 500_000:
            self._accounts.clear()
            unread = users
        self._accounts.update(await store.accounts_of(tx, unread))
        return {name: self._accounts[name] for name in users if name in self._accounts}


def _published(event: Draft, account: str) -> UsageEvent:
    return UsageEvent(
        event.id,
        account,
        event.type,
        event.name,
        event.at,
        event.received_at,
        event.source,
        event.user or None,
        event.properties,
        event.history,
    )
