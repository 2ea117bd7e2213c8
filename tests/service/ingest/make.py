"""Builders for ingest's tests: the running service, posted to by HTTP, read through the log."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx2
import msgspec
from sqlalchemy import func, select
from starlette.types import ASGIApp

from services.ingest.handlers import GROUP
from shared.bus.protocol import Bounds, Partition, Record
from shared.bus.tables import log_end
from shared.contracts.topics import USAGE, USAGE_RAW
from shared.contracts.usage import UsageEvent
from shared.keys import credentials
from shared.settings import Settings
from tests.make import FakeClock, eventually, track
from waymark import migrations
from waymark.assembly import Assembly, assembled

ANN = {name: value for name, value in track("Report Exported", account="acme").items() if name != "messageId"}


class FromTheStart:
    """Reads every partition from its beginning."""

    async def on_assigned(self, partitions: dict[Partition, Bounds]) -> dict[Partition, int]:
        return {partition: bounds.begin for partition, bounds in partitions.items()}

    async def on_revoked(self, partitions: set[Partition]) -> None:
        pass


class RunningIngest:
    """A running ingest: what is posted to it, and what came of that."""

    def __init__(self, settings: Settings, assembly: Assembly, clock: FakeClock, client: httpx2.AsyncClient) -> None:
        self.keys = credentials(settings.data)
        self.context = assembly.contexts["ingest"]
        self.clock = clock
        self.client = client
        self._consumer = assembly.services["ingest"].consumers[0]
        self._readings = 0

    async def post(self, *events: Any, path: str = "/v1/batch", **envelope: Any) -> httpx2.Response:
        """These events as one batch; answered with 200."""
        body = {"batch": events, "writeKey": self.keys.write} | envelope
        answer = await self.client.post(path, content=msgspec.json.encode(body))
        assert answer.status_code == 200, answer.text
        return answer

    async def published(self) -> list[UsageEvent]:
        """Everything on `usage.v1`, once all that was posted has been handled: of each account in its order."""
        await eventually(self._handled)
        async with self.context.database.snapshot() as read:
            count = await read.scalar(select(func.sum(log_end.c.next_offset)).where(log_end.c.topic == USAGE.name))
        records = await self._read(int(count or 0))
        return [msgspec.json.decode(record.value, type=UsageEvent) for record in records]

    async def parked(self, **query: Any) -> list[dict[str, Any]]:
        """The parked records, once all that was posted has been handled."""
        await eventually(self._handled)
        answer = await self.client.get("/ingest/v1/parked", params=query, headers=bearer(self.keys.read))
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def redrive(self, *ids: str) -> int:
        """How many were taken up."""
        path, admin = "/ingest/v1/parked/redrive", bearer(self.keys.admin)
        answer = await self.client.post(path, json={"ids": ids}, headers=admin)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["taken"])

    async def _handled(self) -> bool:
        bounds = await self.context.bus.bounds([USAGE_RAW.name])
        held = self._consumer.ownership.claims()
        return all(tp in held and held[tp].next_offset >= bound.end for tp, bound in bounds.items())

    async def _read(self, count: int) -> list[Record]:
        found: list[Record] = []

        async def enough() -> bool:
            found.extend(record for batch in await reader.poll(1000, 0.2) for record in batch.records)
            return len(found) >= count

        self._readings += 1
        async with self.context.bus.reader(f"test{self._readings}", [USAGE.name], FromTheStart()) as reader:
            await eventually(enough)
        return found


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[RunningIngest]:
    """Ingest alone, reached without a socket."""
    await asyncio.to_thread(migrations.migrate, settings, [GROUP])
    clock = FakeClock()
    async with assembled(settings, [GROUP], clock) as assembly, connected(assembly.app) as client:
        yield RunningIngest(settings, assembly, clock, client)


@asynccontextmanager
async def connected(app: ASGIApp) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of this application."""
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://waymark") as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def facts(events: Sequence[UsageEvent]) -> list[tuple[str, str]]:
    """Which event of which account."""
    return [(event.id, event.account) for event in events]


def at(moment: datetime) -> str:
    return moment.isoformat()
