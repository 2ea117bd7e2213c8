"""Wiring of ingest: its consumer, its capture API, and its REST API, which is also where keys are issued."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

from services.ingest import corrected_times, store
from services.ingest.admission import Newcomers, SourceRates, default_rates
from services.ingest.core.canonical import TimeBounds
from services.ingest.handlers import (
    GROUP,
    REDRIVEN_AT_ONCE,
    WAITING_AT_ONCE,
    Handlers,
    publish_waiting,
    redrive,
)
from services.ingest.http import CaptureApi
from services.ingest.tables import corrected_time
from shared.access.keys import KeyRefresh
from shared.contracts.topics import USAGE_RAW
from shared.http import audit, keys, parked
from shared.http.app import service_app
from shared.service.consumer import PollSettings
from shared.service.context import Service, ServiceContext
from shared.service.saved_counts import SavedCounts, expired_counts, saving
from shared.settings import Settings

_POLL = PollSettings(linger=0.3)
_HOUR = 3600.0
_LOOK_AFTER = (1.0, 5.0, 30.0)


def wire(context: ServiceContext) -> Service:
    """Build the service."""
    bounds = _bounds(context.settings)
    handlers = Handlers(context.clock, bounds)
    app = service_app(title="Waymark ingest", summary="Usage events in; parked records out; keys, and who did what.")
    app.include_router(keys.router(context))
    app.include_router(audit.router(context))
    app.include_router(parked.router(context, GROUP, partial(_redrive_by_hand, context, handlers, bounds)))
    counted = SavedCounts(context.database, corrected_time, corrected_times.KIND, handlers.corrected_times.counts)
    app.include_router(corrected_times.router(context, counted))
    rates = SourceRates(default_rates(context.settings))
    return Service(
        "ingest",
        app,
        consumers=[context.consumer(GROUP, [USAGE_RAW], handlers.raw_events, handlers.read, _POLL)],
        root=CaptureApi(
            context.bus,
            context.keys,
            context.receipt_clock,
            refresh=KeyRefresh(context.keys, context.access, context.clock),
            rates=rates,
            newcomers=Newcomers(partial(_known, context)),
        ).routes(),
        loops={
            "ingest-counts": saving([counted], context.clock),
            "ingest-waiting": WaitingEvents(context, handlers, bounds).run,
        },
        collectors=[handlers.corrected_times, rates],
        retention=[expired_counts(corrected_time, context.settings.keep_parked_days)],
    )


def _bounds(settings: Settings) -> TimeBounds:
    return TimeBounds(timedelta(days=settings.event_days_back), timedelta(minutes=settings.event_minutes_ahead))


async def _known(
    context: ServiceContext, accounts: Collection[str], users: Collection[str]
) -> tuple[set[str], set[str]]:
    async with context.database.snapshot() as read:
        return await store.known_accounts(read, accounts), await store.known_users(read, users)


async def _redrive_by_hand(context: ServiceContext, handlers: Handlers, bounds: TimeBounds, ids: Sequence[str]) -> int:
    taken = await _redrive(context, bounds, ids)
    handlers.waiting_left.set()
    return taken


async def _redrive(context: ServiceContext, bounds: TimeBounds, ids: Sequence[str]) -> int:
    """Process parked records once more, some in a transaction: published, or parked anew with the reason of today."""
    taken = 0
    for start in range(0, len(ids), REDRIVEN_AT_ONCE):
        async with context.database.transaction() as tx:
            taken += await redrive(tx, ids[start : start + REDRIVEN_AT_ONCE], context.clock.now(), bounds)
    return taken


class WaitingEvents:
    """Publishes the parked events whose users have an account by now, where there were more than one transaction should hold.

    Looked for at the start (a process may have ended in between), every hour, and when the handler has left some. It says so before
    its transaction has ended, so they are looked for more than once.
    """

    def __init__(self, context: ServiceContext, handlers: Handlers, bounds: TimeBounds) -> None:
        self._context = context
        self._left = handlers.waiting_left
        self._bounds = bounds

    async def run(self) -> None:
        """For ever. Raises what the database raises: the supervisor begins again, with a look."""
        await self.publish()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HOUR):
                    await self._left.wait()
            self._left.clear()
            for seconds in _LOOK_AFTER:
                await asyncio.sleep(seconds)
                await self.publish()

    async def publish(self) -> int:
        """All there are now, some in a transaction: how many."""
        taken, before = 0, list[str]()
        while True:
            async with self._context.database.snapshot() as read:
                ids = await store.waiting_with_account(read, GROUP, WAITING_AT_ONCE)
            if not ids or ids == before:
                return taken
            async with self._context.database.transaction() as tx:
                taken += await publish_waiting(tx, ids, self._context.clock.now(), self._bounds)
            before = ids
