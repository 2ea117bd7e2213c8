"""Wiring of ingest: its consumer, its capture API, and its REST API, which is also where keys are issued."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import partial

from services.ingest import corrected_times, store
from services.ingest.admission import Newcomers, SourceRates, default_rates
from services.ingest.core.canonical import TimeBounds
from services.ingest.handlers import GROUP, Handlers, redrive
from services.ingest.http import CaptureApi
from services.ingest.tables import corrected_time
from shared.access.key_refresh import KeyRefresh
from shared.contracts.topics import USAGE_RAW
from shared.http import audit, keys, parked
from shared.http.app import service_app
from shared.service.consumer import PollSettings
from shared.service.context import Service, ServiceContext
from shared.service.saved_counts import SavedCounts, expired_counts, saving
from shared.settings import Settings

_POLL = PollSettings(linger=0.3)


def wire(context: ServiceContext) -> Service:
    """Build the service."""
    bounds = _bounds(context.settings)
    handlers = Handlers(context.clock, bounds)
    app = service_app(title="Waymark ingest", summary="Usage events in; parked records out; keys, and who did what.")
    app.include_router(keys.router(context))
    app.include_router(audit.router(context))
    app.include_router(parked.router(context, GROUP, partial(_redrive, context, bounds)))
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
        loops={"ingest-counts": saving([counted], context.clock)},
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


async def _redrive(context: ServiceContext, bounds: TimeBounds, ids: Sequence[str]) -> int:
    """Process parked records once more: published, or parked anew with the reason of today."""
    async with context.database.transaction() as tx:
        return await redrive(tx, ids, context.clock.now(), bounds)
