"""Wiring of ingest: its consumer, its capture API, and its REST API, which is also where keys are issued."""

from collections.abc import Sequence
from functools import partial

from services.ingest.core.canonical import canonical_event
from services.ingest.handlers import GROUP, Handlers, redrive
from services.ingest.http import CaptureApi
from shared.contracts.topics import USAGE_RAW
from shared.http import keys, parked
from shared.http.app import service_app
from shared.service.consumer import PollSettings
from shared.service.context import Service, ServiceContext

_POLL = PollSettings(linger=0.3)


def wire(context: ServiceContext) -> Service:
    """Build the service."""
    handlers = Handlers(context.clock)
    app = service_app(title="Waymark ingest", summary="Usage events in; parked records out; keys.")
    app.include_router(keys.router(context))
    app.include_router(parked.router(context, GROUP, partial(_redrive, context)))
    return Service(
        "ingest",
        app,
        consumers=[context.consumer(GROUP, [USAGE_RAW], handlers.raw_events, canonical_event, _POLL)],
        root=CaptureApi(context.bus, context.keys, context.clock).routes(),
    )


async def _redrive(context: ServiceContext, ids: Sequence[str]) -> int:
    """Process parked records once more: published, or parked anew with the reason of today."""
    async with context.database.transaction() as tx:
        return await redrive(tx, ids, context.clock.now())
