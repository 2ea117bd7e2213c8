"""Wiring of notify: its handlers, consumer, timers, sender and API, built from the service context and the definition."""

import asyncio
from datetime import datetime, timedelta
from functools import partial

from services.notify.channels.channel import Built
from services.notify.channels.table import CHANNELS
from services.notify.core.person import PersonKeys
from services.notify.definition import Definition, lifecycle_names, load_plays
from services.notify.effects import DeliverySender
from services.notify.handlers.delivery import DeliveryHandlers
from services.notify.handlers.planning import GROUP, MessageWriter, PlanningHandlers
from services.notify.handlers.refusals import EarlierRefusals
from services.notify.handlers.waiting import WaitsInVain
from services.notify.http import admin, ceilings, feedback, going_live, outbox, suppressions, unsubscribe
from services.notify.persons import Persons
from services.notify.readiness import Readiness
from services.notify.sending_limits import Ceilings, CeilingWatch, FirstSends
from services.notify.store import expired_deliveries, repository
from services.notify.waiting import Patience
from shared.brand import with_sender
from shared.bus.producer import partition_of
from shared.contracts.topics import ADVOCACY, LIFECYCLE
from shared.db.protocol import Read
from shared.hosted import hosted_brand
from shared.http import parked
from shared.http.app import service_app
from shared.links import Links
from shared.service.context import DueWork, Service, ServiceContext, Work
from shared.service.supervisor import run_periodically
from shared.service.timers import Timers
from shared.settings import Settings

_POLL = 5.0
_SEND = 1.0


def definition(settings: Settings) -> Definition:
    """The company's plays, texts and budget. Raises DefinitionError with every mistake and its line."""
    lifecycle = settings.config / "lifecycle.yaml"
    return load_plays(settings.config, CHANNELS.traits, lifecycle_names(lifecycle) if lifecycle.exists() else None)


def wire(context: ServiceContext) -> Service:
    """Build the service. Raises DefinitionError with every mistake in the company's files."""
    return build(context, definition(context.settings))


def build(context: ServiceContext, defined: Definition, channels: Built | None = None) -> Service:
    """The service for this definition, sending on these channels: by default on those that are set up."""
    settings, book = with_sender(context.settings, defined.brand), defined.playbook
    accounts = repository(partial(_partition_of, context.bus.partitions(LIFECYCLE.name)))
    persons = Persons(PersonKeys(context.secret))
    links = Links(context.secret)
    writer = MessageWriter(defined, links, settings.public, settings.mail_from)
    patience = Patience(settings.advocacy_patience)
    planning = PlanningHandlers(book, writer, accounts, persons, context.clock, settings.outreach, patience)
    consumer = context.consumer(GROUP, [LIFECYCLE, ADVOCACY], planning.handle)
    wake = asyncio.Event()
    timers = Timers(consumer, LIFECYCLE, accounts.due, planning, context.database, context.clock)
    in_vain = WaitsInVain(planning, patience, settings.advocacy_patience)
    in_vain_timers = Timers(consumer, LIFECYCLE, in_vain.due, in_vain, context.database, context.clock)
    senders, missing = channels or CHANNELS.build(settings, context.clock.now)
    lease = timedelta(seconds=settings.send_lease)
    ready = Readiness(settings, defined, senders.get("email"), context.clock.now)
    delivery = DeliveryHandlers(
        book,
        writer,
        accounts,
        persons,
        settings.outreach,
        missing,
        lease,
        not_ready=ready.refusal,
        first_sends=settings.first_sends,
    )
    first_sends = FirstSends(settings.first_sends, book.channels)
    sender = DeliverySender(delivery, writer, senders, context.database, context.clock)
    earlier = EarlierRefusals(accounts, persons, book.channels, context.database, context.clock)

    async def send() -> int:
        await earlier.carry()
        return await sender.send()

    app = service_app(title="Waymark notify", summary="Messages to customers: what was sent, what was not, and why.")
    app.include_router(outbox.router(context, book, accounts, writer))
    app.include_router(admin.router(context, book, accounts, persons, ready))
    app.include_router(going_live.router(context, ready, first_sends))
    app.include_router(unsubscribe.router(context, links, accounts, persons, hosted_brand(defined.brand)))
    limits = Ceilings(book.budget.ceilings)
    watch = CeilingWatch(limits)
    app.include_router(ceilings.router(context, limits))
    app.include_router(feedback.router(context, persons))
    app.include_router(suppressions.router(context, persons))
    app.include_router(parked.router(context, GROUP, consumer.redrive))
    loops: dict[str, Work] = {
        "notify-timers": partial(run_periodically, _POLL, context.by_the_clock(timers.fire), wake),
        "notify-waits": partial(run_periodically, _POLL, context.by_the_clock(in_vain_timers.fire), wake),
        "notify-sends": partial(run_periodically, _SEND, context.by_the_clock(send)),
    }
    expired = expired_deliveries(context.settings.keep_deliveries_days)

    async def notices() -> dict[str, str]:
        ceilings_reached = await watch.notices(context.database, context.clock.now())
        return ceilings_reached | sender.problems | await ready.notices(context.database, first_sends)

    async def how_many_due(read: Read, until: datetime) -> int:
        return await accounts.count_due(read, until) + await in_vain.count_due(read, until)

    return Service(
        "notify",
        app,
        [consumer],
        loops,
        collectors=[watch],
        retention=expired,
        notices=notices,
        due=DueWork(how_many_due, wake),
    )


def _partition_of(partitions: int, account_id: str) -> int:
    return partition_of(account_id.encode(), partitions)
