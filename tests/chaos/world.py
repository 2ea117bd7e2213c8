"""On what does a run stand? Its servers, its stores and its log, for either deployment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from deploy.servers import Kafka, Postgres, start_kafka, start_postgres
from shared.bus.blocks import decode_block
from shared.bus.kafka import KafkaBus
from shared.bus.protocol import Bounds, Partition
from shared.contracts.topics import TOPICS
from shared.settings import Settings
from tests.chaos import witness
from tests.chaos.books import Books, PostgresBooks, SqliteBooks
from tests.chaos.kafka_log import Lying, lying
from waymark import migrations

PARTS = 4
_NAMES = [topic.name for topic in TOPICS]


class World(Protocol):
    """One deployment. `environment` is what its processes are told besides what all are told."""

    name: str
    books: Books
    environment: dict[str, str]

    async def bounds(self) -> dict[Partition, Bounds]: ...

    def records(self, topic: str) -> AsyncIterator[Lying]: ...


class Scaled(NamedTuple):
    """A Kafka and a PostgreSQL of our own."""

    kafka: Kafka
    postgres: Postgres
    books: Books
    environment: dict[str, str]
    name: str = "scaled"

    async def bounds(self) -> dict[Partition, Bounds]:
        bus = KafkaBus(self.kafka.bootstrap)
        try:
            await bus.open(_NAMES, PARTS)
            return await bus.bounds(_NAMES)
        finally:
            await bus.close()

    async def records(self, topic: str) -> AsyncIterator[Lying]:
        bounds = {tp: span for tp, span in (await self.bounds()).items() if tp.topic == topic}
        async for one in lying(self.kafka.bootstrap, bounds):
            yield one


class Embedded(NamedTuple):
    """One file, and one process at a time."""

    books: Books
    environment: dict[str, str]
    name: str = "embedded"

    async def bounds(self) -> dict[Partition, Bounds]:
        ends = await self.books.rows("ingest", "SELECT topic, next_offset FROM log_end")
        begins = await self.books.rows("ingest", "SELECT topic, min(base_offset) AS base FROM log_block GROUP BY topic")
        begin = {row["topic"]: row["base"] for row in begins}
        end = {row["topic"]: row["next_offset"] for row in ends}
        return {Partition(name, 0): Bounds(begin.get(name, 0), end.get(name, 0)) for name in _NAMES}

    async def records(self, topic: str) -> AsyncIterator[Lying]:
        statement = f"SELECT base_offset, block FROM log_block WHERE topic = '{topic}' ORDER BY base_offset"
        for row in await self.books.rows("ingest", statement):
            for offset, record in enumerate(decode_block(row["block"]), row["base_offset"]):
                yield Lying(topic, 0, offset, offset, record.value)


@asynccontextmanager
async def scaled(folder: Path) -> AsyncIterator[Scaled]:
    """Servers with fresh, migrated stores; they stop with the block, and with this process, however it ends."""
    kafka = await asyncio.to_thread(start_kafka, folder)
    postgres = await asyncio.to_thread(start_postgres, folder)
    try:
        url = await asyncio.to_thread(postgres.create_database, "chaos")
        environment = {"WAYMARK_DATABASE_URL": url, "WAYMARK_BUS_URL": kafka.url, "WAYMARK_PARTITIONS": str(PARTS)}
        await _prepared(Settings(database_url=url, bus_url=kafka.url), books := PostgresBooks(postgres.dsn("chaos")))
        yield Scaled(kafka, postgres, books, environment)
    finally:
        await asyncio.to_thread(_stopped, kafka, postgres)


@asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[Embedded]:
    """A fresh file with its tables."""
    file = folder / "data" / "waymark.db"
    await _prepared(Settings(database_url=f"sqlite:///{file}"), books := SqliteBooks(file))
    yield Embedded(books, {"WAYMARK_DATABASE_URL": f"sqlite:///{file}"})


async def _prepared(settings: Settings, books: Books) -> None:
    await asyncio.to_thread(migrations.migrate, settings, list(migrations.OWNERS))
    await witness.install(books)


def _stopped(kafka: Kafka, postgres: Postgres) -> None:
    kafka.kill()
    postgres.kill()
    postgres.end()
