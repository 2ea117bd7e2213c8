"""What is ingest made of?"""

from collections.abc import Sequence
from functools import partial

from services.ingest.capture import Capture
from services.ingest.core.canonical import draft
from services.ingest.handlers import GROUP, Handlers, redrive
from shared.contracts.topics import USAGE_RAW
from shared.http import parked
from shared.http.app import service_app
from shared.service.consumer import PollSettings
from shared.service.context import Service, ServiceContext

_POLL = PollSettings(linger=0.3)


def wire(context: ServiceContext) -> Service:
    """Build the service."""
    handlers = Handlers(context.clock)
    app = service_app(title="Waymark ingest", summary="Usage events in; parked records out.")
    app.include_router(parked.router(context, GROUP, partial(_again, context)))
    return Service(
        "ingest",
        app,
        consumers=[context.consumer(GROUP, [USAGE_RAW], handlers.raw, draft, _POLL)],
        root=Capture(context.bus, context.keys, context.clock).routes(),
    )


async def _again(context: ServiceContext, ids: Sequence[str]) -> int:
    """Parked events go through the door once more: placed, or parked anew with the reason of today."""
    async with context.database.transaction() as tx:
        return await redrive(tx, ids, context.clock.now())
