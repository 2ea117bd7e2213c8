"""World: the servers, stores and log of a run, for either deployment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from deploy.servers import Kafka, Postgres, start_kafka, start_postgres
from shared.bus.kafka import SEQUENCE_HEADER, KafkaBus
from shared.bus.outbox import decode_block
from shared.bus.protocol import Bounds, Partition
from shared.contracts.topics import TOPICS
from shared.settings import Settings
from tests.chaos import witness
from tests.chaos.stores import PostgresStores, SqliteStores, Stores
from waymark import migrations

PARTS = 4
_NAMES = [topic.name for topic in TOPICS]


class StoredRecord(NamedTuple):
    """A record as it lies there. `seq` is its place in its producer's own log, -1 where it keeps none."""

    topic: str
    part: int
    offset: int
    seq: int
    value: bytes


async def read_records(servers: str, bounds: dict[Partition, Bounds]) -> AsyncIterator[StoredRecord]:
    """Partition by partition, in order, as far as the bounds say."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        for (topic, part), (begin, end) in sorted(bounds.items()):
            place = TopicPartition(topic, part)
            consumer.assign([place])
            consumer.seek(place, begin)
            while await consumer.position(place) < end:
                for record in (await consumer.getmany(place, timeout_ms=1000)).get(place, []):
                    yield StoredRecord(topic, part, record.offset, _seq(record), record.value or b"")
    finally:
        await consumer.stop()


def _seq(record: ConsumerRecord) -> int:
    return next((int.from_bytes(value, "big") for name, value in record.headers if name == SEQUENCE_HEADER), -1)


class World(Protocol):
    """One deployment. `environment` is what its processes are told besides what all are told."""

    name: str
    stores: Stores
    environment: dict[str, str]

    async def bounds(self) -> dict[Partition, Bounds]: ...

    def records(self, topic: str) -> AsyncIterator[StoredRecord]: ...


class Scaled(NamedTuple):
    """A Kafka and a PostgreSQL of our own."""

    kafka: Kafka
    postgres: Postgres
    stores: Stores
    environment: dict[str, str]
    name: str = "scaled"

    async def bounds(self) -> dict[Partition, Bounds]:
        bus = KafkaBus(self.kafka.bootstrap)
        try:
            await bus.open(_NAMES, PARTS)
            return await bus.bounds(_NAMES)
        finally:
            await bus.close()

    async def records(self, topic: str) -> AsyncIterator[StoredRecord]:
        bounds = {tp: span for tp, span in (await self.bounds()).items() if tp.topic == topic}
        async for one in read_records(self.kafka.bootstrap, bounds):
            yield one


class Embedded(NamedTuple):
    """One file, and one process at a time."""

    stores: Stores
    environment: dict[str, str]
    name: str = "embedded"

    async def bounds(self) -> dict[Partition, Bounds]:
        ends = await self.stores.rows("ingest", "SELECT topic, next_offset FROM log_end")
        begins = await self.stores.rows(
            "ingest", "SELECT topic, min(base_offset) AS base FROM log_block GROUP BY topic"
        )
        begin = {row["topic"]: row["base"] for row in begins}
        end = {row["topic"]: row["next_offset"] for row in ends}
        return {Partition(name, 0): Bounds(begin.get(name, 0), end.get(name, 0)) for name in _NAMES}

    async def records(self, topic: str) -> AsyncIterator[StoredRecord]:
        statement = f"SELECT base_offset, block FROM log_block WHERE topic = '{topic}' ORDER BY base_offset"
        for row in await self.stores.rows("ingest", statement):
            for offset, record in enumerate(decode_block(row["block"]), row["base_offset"]):
                yield StoredRecord(topic, 0, offset, offset, record.value)


@asynccontextmanager
async def scaled(folder: Path) -> AsyncIterator[Scaled]:
    """Servers with fresh, migrated stores; they stop with the block, and with this process, however it ends."""
    kafka = await asyncio.to_thread(start_kafka, folder)
    postgres = await asyncio.to_thread(start_postgres, folder)
    try:
        url = await asyncio.to_thread(postgres.create_database, "chaos")
        environment = {"WAYMARK_DATABASE_URL": url, "WAYMARK_BUS_URL": kafka.url, "WAYMARK_PARTITIONS": str(PARTS)}
        await _prepared(Settings(database_url=url, bus_url=kafka.url), stores := PostgresStores(postgres.dsn("chaos")))
        yield Scaled(kafka, postgres, stores, environment)
    finally:
        await asyncio.to_thread(_stopped, kafka, postgres)


@asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[Embedded]:
    """A fresh file with its tables."""
    file = folder / "data" / "waymark.db"
    await _prepared(Settings(database_url=f"sqlite:///{file}"), stores := SqliteStores(file))
    yield Embedded(stores, {"WAYMARK_DATABASE_URL": f"sqlite:///{file}"})


async def _prepared(settings: Settings, stores: Stores) -> None:
    await asyncio.to_thread(migrations.migrate, settings, list(migrations.OWNERS))
    await witness.install(stores)


def _stopped(kafka: Kafka, postgres: Postgres) -> None:
    kafka.kill()
    postgres.kill()
    postgres.end()
