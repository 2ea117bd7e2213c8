"""Builders for tests of notify's shell: its context on either deployment, and messages of an account in order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from pydantic import SecretStr
from sqlalchemy import select

from services.notify.channels.channel import Built, ChannelTable, Sender
from services.notify.channels.table import CHANNELS
from services.notify.core.person import PersonKeys
from services.notify.definition import Definition
from services.notify.effects import DeliverySender
from services.notify.handlers.delivery import DeliveryHandlers
from services.notify.handlers.planning import MessageWriter, PlanningHandlers
from services.notify.persons import Persons
from services.notify.store import repository
from services.notify.tables import account, delivery
from services.notify.waiting import Patience
from services.notify.wiring import build, definition
from shared.bus.outbox import decode_block
from shared.bus.producer import partition_of
from shared.bus.tables import log_block
from shared.contracts.lifecycle import ClockAdvanced, ContactChanged, LifecycleMessage, Snapshot, StageChanged
from shared.contracts.outreach import OutreachMessage
from shared.contracts.topics import LIFECYCLE, OUTREACH
from shared.http import problem
from shared.keys import credentials, load_keys
from shared.links import Links
from shared.service.context import ServiceContext
from shared.service.processor import MessageBatch
from shared.settings import Settings
from shared.storage import Storage
from tests.make import FakeClock, LifecycleMessages, migrated_storage

MONDAY = datetime(2026, 11, 23, 10, tzinfo=UTC)
DAY = timedelta(days=1)


class Customer:
    """Messages of an account with one contact, from the day on which it is seen first."""

    def __init__(self, account: str = "acme", *, history: bool = False) -> None:
        self.account = account
        self.build = LifecycleMessages(account, history=history)

    def person(self, user: str = "ann", **more: Any) -> ContactChanged:
        fields = {"email": f"{user}@{self.account}.test", "name": f"{user.title()} Lee", "role": "admin"} | more
        return self.build.contact(MONDAY, user, **fields)

    def onboarding(self, at: datetime = MONDAY) -> StageChanged:
        snapshot = Snapshot("onboarding", at, traits={"name": "Acme", "csm": "Kim"})
        return self.build.stage(at, "onboarding", snapshot=snapshot)

    def clock(self, at: datetime, *, live: bool = True) -> ClockAdvanced:
        return self.build.clock(at, live=live)

    def begin(self) -> list[LifecycleMessage]:
        return [self.person(), self.onboarding()]


class Office:
    """Notify without its loops: each step is taken when a test says so."""

    def __init__(
        self,
        context: ServiceContext,
        clock: FakeClock,
        defined: Definition,
        channels: ChannelTable,
        patience: float = 0.0,
    ) -> None:
        self.context, self.clock, self.database, self.channels = context, clock, context.database, channels
        self.partition_of = partial(_partition, context.bus.partitions(LIFECYCLE.name))
        self.book, self.accounts = defined.playbook, repository(self.partition_of)
        self.persons = Persons(PersonKeys(context.secret))
        self.links = Links(context.secret)
        self.writer = MessageWriter(defined, self.links, context.settings.public)
        self.patience = Patience(patience)
        self.handlers = PlanningHandlers(
            self.book, self.writer, self.accounts, self.persons, clock, patience=self.patience
        )
        self.http = _client(context, defined)

    async def take(self, *messages: Any, topic: Any = LIFECYCLE) -> None:
        async with self.database.transaction() as tx:
            await self.handlers.handle(tx, MessageBatch(topic, 0, 0, messages))

    async def time(self, until: datetime | None = None) -> int:
        until = until or self.clock.now()
        async with self.database.transaction() as tx:
            ids = [row.id for row in await tx.all(select(account.c.id).where(account.c.next_due <= until))]
            return await self.handlers.advance_time(tx, ids, until)

    def sends(self, own: dict[str, Sender] | None = None, patience: float = 5.0) -> DeliverySender:
        table = self.channels
        built = table.build(self.context.settings, self.clock.now) if own is None else Built(own, {})
        handlers = DeliveryHandlers(self.book, self.writer, self.accounts, self.persons, "preview", built.missing)
        return DeliverySender(handlers, self.writer, built.senders, self.database, self.clock, patience)

    async def rows(self, **where: Any) -> list[dict[str, Any]]:
        found = select(delivery).order_by(delivery.c.at, delivery.c.id)
        async with self.database.snapshot() as read:
            rows = await read.all(found.where(*(delivery.c[name] == value for name, value in where.items())))
        return [dict(zip(row._fields, row, strict=True)) for row in rows]

    async def row(self, **where: Any) -> dict[str, Any]:
        (one,) = await self.rows(**where)
        return one

    async def told(self) -> list[OutreachMessage]:
        """Everything published on `outreach.v1`, in order for each account."""
        block = log_block.c
        async with self.database.snapshot() as read:
            rows = await read.all(select(block.block).where(block.topic == OUTREACH.name).order_by(block.base_offset))
        decode = msgspec.json.Decoder(OutreachMessage).decode
        return [decode(record.value) for row in rows for record in decode_block(row.block)]

    async def state(self, name: str = "acme") -> Any:
        async with self.database.transaction() as tx:
            return (await self.accounts.load_for_update(tx, [name]))[name]

    async def live(self) -> None:
        assert (await self.http.put("/v1/mode", json={"mode": "live"})).status_code == 200

    async def welcomed(self, name: str = "acme") -> dict[str, Any]:
        """An account whose welcome mail is planned."""
        await self.take(*Customer(name).begin())
        await self.time()
        return await self.row(step="welcome_hello", account=name)

    def path(self, delivery: str) -> str:
        """The unsubscribe page of a delivery, as this application is asked for it."""
        return self.writer.unsubscribe_url(delivery).removeprefix(f"{self.context.settings.public}/notify")


@asynccontextmanager
async def office(
    settings: Settings,
    smtp: int | None = None,
    owner: str = "test",
    defined: Definition | None = None,
    channels: ChannelTable = CHANNELS,
    patience: float = 0.0,
) -> AsyncIterator[Office]:
    """`patience`: so many seconds of advocacy's silence are borne; 0: nothing waits for it."""
    if smtp is not None:
        settings = settings.model_copy(update={"smtp_url": SecretStr(f"smtp://127.0.0.1:{smtp}")})
    async with migrated_storage(settings, "notify", owner) as opened:
        context = context_of(settings, opened, clock := FakeClock(MONDAY))
        made = Office(context, clock, defined or defined_in(settings.config), channels, patience)
        async with made.http:
            yield made


def context_of(settings: Settings, opened: Storage, clock: FakeClock) -> ServiceContext:
    keys, secret = load_keys(settings)
    return ServiceContext(settings, clock, opened.database, opened.bus, keys, secret, "test", opened.access)


@cache
def defined_in(config: Path) -> Definition:
    """Read once: many tests stand on the same files."""
    return definition(Settings(config=config))


def _client(context: ServiceContext, defined: Definition) -> httpx2.AsyncClient:
    service = build(context, defined)
    problem.install(service.app)
    headers = {"Authorization": f"Bearer {credentials(context.settings.data).admin}"}
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=service.app), base_url="http://t", headers=headers)


def _partition(partitions: int, name: str) -> int:
    return partition_of(name.encode(), partitions)
