"""What is ingest made of?"""

from fastapi import FastAPI

from services.ingest.capture import Capture
from services.ingest.core.canonical import draft
from services.ingest.handlers import GROUP, Handlers
from services.ingest.http import router
from shared.contracts.topics import USAGE_RAW
from shared.service.parts import Parts, Service


def wire(parts: Parts) -> Service:
    """Build the service."""
    handlers = Handlers(parts.clock)
    app = FastAPI(title="Waymark ingest", summary="Usage events in; parked records out.")
    app.include_router(router(parts))
    return Service(
        "ingest",
        app,
        passages=[parts.passage(GROUP, [USAGE_RAW], handlers.raw, draft)],
        root=Capture(parts.bus, parts.keys, parts.clock).routes(),
    )
