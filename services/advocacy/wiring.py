"""What is advocacy made of?"""

from functools import partial

import msgspec
from fastapi import FastAPI

from services.advocacy.core.definitions import Definitions
from services.advocacy.core.links import address
from services.advocacy.core.loading import load_definitions
from services.advocacy.handlers import GROUP, Handlers
from services.advocacy.http import asks, routes, votes
from services.advocacy.http.hosting import House
from services.advocacy.store import accounts
from services.advocacy.surveys import KINDS
from services.advocacy.timers import Ripening
from shared.bus.partitioner import partition_of
from shared.contracts.topics import LIFECYCLE, OUTREACH
from shared.definitions import load
from shared.http import parked
from shared.http.app import service_app
from shared.links import Links
from shared.service.context import Service, ServiceContext, Work
from shared.service.supervisor import run_periodically
from shared.service.timers import Timers
from shared.settings import Settings

_POLL = 5.0


class _House(msgspec.Struct):
    """The one name of `templates/house.yaml` that our pages show."""

    product: str = "our product"


def definitions(settings: Settings) -> Definitions:
    """The company's surveys and referral rules. Raises DefinitionError with every mistake."""
    return load_definitions(settings.config / "surveys", settings.config / "referrals.yaml", KINDS)


def product(settings: Settings) -> str:
    """What the company calls its product. Raises DefinitionError."""
    file = settings.config / "templates" / "house.yaml"
    return load(file, _House).value.product if file.exists() else _House().product


def wire(context: ServiceContext) -> Service:
    """Build the service."""
    defined, lifecycle_partitions = definitions(context.settings), context.bus.partitions(LIFECYCLE.name)
    links = Links(context.secret)
    link = partial(address, context.settings.public, links)
    handlers = Handlers(
        defined, lambda account: partition_of(account.encode(), lifecycle_partitions), link, context.clock
    )
    consumer = context.consumer(GROUP, [LIFECYCLE, OUTREACH], handlers.messages)
    timers = Timers(consumer, LIFECYCLE, accounts.due, handlers, context.database, context.clock)
    ripening = Ripening(defined.referrals.rewards, context.database, context.clock)
    loops: dict[str, Work] = {
        "advocacy-timers": partial(run_periodically, _POLL, timers.fire),
        "advocacy-rewards": partial(run_periodically, _POLL, ripening.fire),
    }
    app = _app(context, defined, handlers, links)
    app.include_router(parked.router(context, GROUP, consumer.redrive))
    return Service("advocacy", app, [consumer], loops)


def _app(context: ServiceContext, defined: Definitions, handlers: Handlers, links: Links) -> FastAPI:
    app = service_app(title="Waymark advocacy", summary="What customers say, whom they refer, and what that is worth.")
    house = House(product(context.settings), defined, handlers, links, context)
    for router in (votes.router(house), asks.router(house), routes.router(context, defined)):
        app.include_router(router)
    return app
