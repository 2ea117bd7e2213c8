"""Wiring of advocacy: its consumer, timers, hosted pages and REST."""

import asyncio
from functools import partial

from fastapi import FastAPI

from services.advocacy.core.definitions import Definitions
from services.advocacy.core.invitations import Addresses
from services.advocacy.handlers import GROUP, Handlers, RewardRelease, SleepingAccounts
from services.advocacy.http import hosted_pages, rest
from services.advocacy.http.hosted_pages import PageContext
from services.advocacy.loading import definitions
from shared.brand import load_brand
from shared.bus.producer import partition_of
from shared.contracts.topics import LIFECYCLE, OUTREACH
from shared.hosted import hosted_brand
from shared.http import parked
from shared.http.app import service_app
from shared.links import Links
from shared.service.context import DueWork, Service, ServiceContext, Work
from shared.service.supervisor import run_periodically
from shared.service.timers import Timers

_POLL = 5.0
_HOURLY = 3600.0


def wire(context: ServiceContext) -> Service:
    """Build the service."""
    defined, lifecycle_partitions = definitions(context.settings), context.bus.partitions(LIFECYCLE.name)
    links = Links(context.secret)
    addresses = Addresses(context.settings.public, links)
    handlers = Handlers(
        defined, lambda account: partition_of(account.encode(), lifecycle_partitions), addresses, context.clock
    )
    consumer = context.consumer(GROUP, [LIFECYCLE, OUTREACH], handlers.messages)
    wake = asyncio.Event()
    timers = Timers(consumer, LIFECYCLE, handlers.accounts.due, handlers, context.database, context.clock)
    release = RewardRelease(defined.referrals.rewards, handlers.journal, context.database, context.clock)
    sleeping = SleepingAccounts(defined, context.database, context.clock)
    loops: dict[str, Work] = {
        "advocacy-timers": partial(run_periodically, _POLL, context.by_the_clock(timers.fire), wake),
        "advocacy-rewards": partial(run_periodically, _POLL, context.by_the_clock(release.fire)),
        "advocacy-recurring": partial(run_periodically, _HOURLY, context.by_the_clock(sleeping.fire)),
    }
    app = _app(context, defined, handlers, links)
    app.include_router(parked.router(context, GROUP, consumer.redrive))
    return Service("advocacy", app, [consumer], loops, due=DueWork(handlers.accounts.count_due, wake))


def _app(context: ServiceContext, defined: Definitions, handlers: Handlers, links: Links) -> FastAPI:
    app = service_app(title="Waymark advocacy", summary="What customers say, whom they refer, and what that is worth.")
    pages = PageContext(hosted_brand(load_brand(context.settings.config)), defined, handlers, links, context)
    for router in (hosted_pages.router(pages), rest.router(context, defined, handlers.journal)):
        app.include_router(router)
    return app
