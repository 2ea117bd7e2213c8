"""Commit times of events: each batch names an account for the first time; the database is asked which of those it has."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

import asyncpg

from bench.errors import InvalidResult
from bench.load_control import Order
from bench.servers import dsn
from bench.stream import name_of
from shared.settings import Settings

_LOOK = 0.02
_SQL = "SELECT id FROM {schema}lifecycle_account WHERE id >= '{first}' AND id < '{last}'"
Ask = Callable[[], Awaitable[list[str]]]


class Committed:
    """For each batch the moment (monotonic clock) at which its newcomer was first seen in the database."""

    def __init__(self, order: Order) -> None:
        self.at: dict[int, float] = {}
        self._batches = order.events // order.size
        self._batch_of = {str(order.newcomer(batch)): batch for batch in range(self._batches)}

    def take(self, names: list[str]) -> None:
        """These are there."""
        now = time.monotonic()
        for name in names:
            self.at.setdefault(self._batch_of[name], now)

    async def all(self, seconds: float) -> None:
        """Wait for the rest. Raises InvalidResult when they do not come."""
        deadline = time.monotonic() + seconds
        while len(self.at) < self._batches:
            if time.monotonic() > deadline:
                raise InvalidResult(f"{len(self.at)} of {self._batches} new accounts were committed")
            await asyncio.sleep(_LOOK)


@asynccontextmanager
async def committed(settings: Settings, order: Order) -> AsyncIterator[Committed]:
    """A look at the database, fifty times a second, while this order is carried out."""
    seen = Committed(order)
    first, last = name_of(order.newcomers), name_of(order.newcomers + order.events // order.size)
    looking = _file if settings.embedded else _server
    async with looking(
        settings, _SQL.format(schema="" if settings.embedded else "lifecycle.", first=first, last=last)
    ) as ask:
        task = asyncio.create_task(_look(ask, seen))
        try:
            yield seen
        finally:
            task.cancel()
            await asyncio.wait({task})


async def _look(ask: Ask, seen: Committed) -> None:
    while True:
        seen.take(await ask())
        await asyncio.sleep(_LOOK)


@asynccontextmanager
async def _server(settings: Settings, sql: str) -> AsyncIterator[Ask]:
    connection = await asyncpg.connect(dsn(settings.database))

    async def ask() -> list[str]:
        return [row["id"] for row in await connection.fetch(sql)]

    try:
        yield ask
    finally:
        await connection.close()


@asynccontextmanager
async def _file(settings: Settings, sql: str) -> AsyncIterator[Ask]:
    with closing(sqlite3.connect(f"file:{settings.data / 'waymark.db'}?mode=ro", uri=True)) as file:

        async def ask() -> list[str]:
            return [row[0] for row in file.execute(sql).fetchall()]

        yield ask
