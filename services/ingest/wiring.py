"""What is ingest made of?"""

from collections.abc import Sequence
from functools import partial

from fastapi import FastAPI

from services.ingest.capture import Capture
from services.ingest.core.canonical import draft
from services.ingest.handlers import GROUP, Handlers, redrive
from shared.contracts.topics import USAGE_RAW
from shared.http import parked
from shared.service.parts import Parts, Service
from shared.service.passage import Look

_LOOK = Look(pace=0.3)


def wire(parts: Parts) -> Service:
    """Build the service."""
    handlers = Handlers(parts.clock)
    app = FastAPI(title="Waymark ingest", summary="Usage events in; parked records out.")
    app.include_router(parked.router(parts, GROUP, partial(_again, parts)))
    return Service(
        "ingest",
        app,
        passages=[parts.passage(GROUP, [USAGE_RAW], handlers.raw, draft, _LOOK)],
        root=Capture(parts.bus, parts.keys, parts.clock).routes(),
    )


async def _again(parts: Parts, ids: Sequence[str]) -> int:
    """Parked events go through the door once more: placed, or parked anew with the reason of today."""
    async with parts.database.transaction() as tx:
        return await redrive(tx, ids, parts.clock.now())
