"""The running service: advocacy alone on its log, with messages in, pages and REST over HTTP, messages out."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import httpx2
import msgspec
from sqlalchemy import Table, select

from services.advocacy import tables
from shared.bus.protocol import Bounds, Bus, Partition, ProducerRecord
from shared.contracts.topics import ADVOCACY, LIFECYCLE, OUTREACH, Topic
from shared.db.protocol import Database, Read
from shared.settings import Settings
from tests.core.advocacy.make import Story, day
from tests.journey.services import RunningServices, run_services
from tests.make import FakeClock, eventually

_read = msgspec.json.Decoder(ADVOCACY.message_type).decode


class Listener:
    """Reads everything that advocacy publishes, from the beginning."""

    def __init__(self, bus: Bus) -> None:
        self.messages: dict[tuple[Partition, int], Any] = {}
        """By place: whoever is assigned anew reads from the beginning again."""
        self._bus = bus
        self._at: dict[Partition, int] = {}

    async def on_assigned(self, partitions: dict[Partition, Bounds]) -> dict[Partition, int]:
        self._at = {partition: bounds.begin for partition, bounds in partitions.items()}
        return dict(self._at)

    async def on_revoked(self, partitions: set[Partition]) -> None:
        """Nothing to give back."""

    async def listen(self) -> None:
        async with self._bus.reader("listener", [ADVOCACY.name], self) as reader:
            while True:
                for batch in await reader.poll(1000, 0.1):
                    self.messages |= {(batch.partition, one.offset): _read(one.value) for one in batch.records}
                    self._at[batch.partition] = batch.end

    async def has_all(self) -> bool:
        bounds = await self._bus.bounds([ADVOCACY.name])
        return all(self._at.get(partition, -1) >= bound.end for partition, bound in bounds.items())


class RunningAdvocacy(NamedTuple):
    """The running service, its clock, and who hears what it says."""

    services: RunningServices
    clock: FakeClock
    listener: Listener

    @property
    def database(self) -> Database:
        return self.services.assembly.contexts["advocacy"].database

    async def publish_stories(self, *stories: Story) -> None:
        """Publish what these stories say that was not published yet, and wait until it was taken."""
        await self.publish(LIFECYCLE, [message for story in stories for message in story.messages])
        for story in stories:
            story.messages.clear()

    async def publish(self, topic: Topic, messages: Sequence[Any]) -> None:
        records = [ProducerRecord(one.account.encode(), msgspec.json.encode(one)) for one in messages]
        await self.services.assembly.contexts["advocacy"].bus.publish(topic.name, records)
        await self.services.wait_until_idle()

    async def publish_outreach(self, *messages: Any) -> None:
        await self.publish(OUTREACH, messages)

    async def published(self, kind: type) -> list[Any]:
        """Messages of this kind that advocacy published, by account in order."""
        await self.services.wait_until_idle()
        await eventually(self.listener.has_all)
        told = [one for _, one in sorted(self.listener.messages.items(), key=itemgetter(0)) if isinstance(one, kind)]
        return sorted(told, key=attrgetter("account"))

    async def rows(self, table: Table) -> list[Any]:
        async with self.database.snapshot() as read:
            return list(await read.all(select(table)))

    async def get(self, link: str) -> httpx2.Response:
        """Open a page as anybody would: without a key."""
        async with httpx2.AsyncClient(timeout=60) as browser:
            return await browser.get(link)

    async def post(self, link: str, **fields: Any) -> httpx2.Response:
        async with httpx2.AsyncClient(timeout=60) as browser:
            return await browser.post(link, data={name: str(value) for name, value in fields.items()})


async def everything(read: Read) -> dict[str, list[Any]]:
    """Every row of every table of ours, but for the journal, whose rows are transactions."""
    return {
        name: sorted(map(tuple, await read.all(select(table))), key=repr)
        for name, table in tables.metadata.tables.items()
        if table not in tables.JOURNAL
    }


@asynccontextmanager
async def running_advocacy(
    settings: Settings, at: float = 0, names: Sequence[str] = ("advocacy",)
) -> AsyncIterator[RunningAdvocacy]:
    """Advocacy alone (or with these), on the day of that number."""
    clock = FakeClock(day(at))
    async with run_services(settings, names, clock) as running:
        listener = Listener(running.assembly.contexts["advocacy"].bus)
        task = asyncio.create_task(listener.listen())
        yield RunningAdvocacy(running, clock, listener)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def surveyed(account: str = "acme", *users: str) -> Story:
    """A customer whose people get the NPS on day 60."""
    story = Story(account).stage(0, "adoption")
    for user in users or ("ann",):
        story.contact(1, user, f"{user}@{account}.example", role="user")
    return story
