"""Builders for tests: a clock that a test moves, a migrated storage, and waiting for a condition without sleeping."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from shared.settings import Settings
from shared.storage import Storage, open_storage
from waymark import migrations

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class FakeClock:
    """A clock that a test moves."""

    def __init__(self, now: datetime = NOON) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def move(self, step: timedelta) -> None:
        self.time += step


async def eventually(done: Callable[[], Awaitable[bool]], seconds: float = 90.0) -> None:
    """Wait until it is so. Fails when it does not become so: never a fixed sleep."""
    async with asyncio.timeout(seconds):
        while not await done():  # noqa: ASYNC110  what we wait for is in a database
            await asyncio.sleep(0.02)


@asynccontextmanager
async def migrated_storage(settings: Settings, service: str = "ingest", owner: str = "test") -> AsyncIterator[Storage]:
    """One service's migrated store."""
    await asyncio.to_thread(migrations.migrate, settings, [service])
    async with open_storage(settings, [service], FakeClock(), owner) as stores:
        yield stores[service]
