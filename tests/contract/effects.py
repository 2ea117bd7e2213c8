"""Consumer test harness: a handler that writes a row for each record, and fails where a test says so."""

import asyncio
import math
from collections.abc import Sequence

from sqlalchemy import Column, Integer, MetaData, Table, Text, func, select, text

from shared.bus.protocol import Bus, ProducerRecord, Record
from shared.bus.tables import dead_letter
from shared.contracts.topics import USAGE_RAW
from shared.db.protocol import Tx
from shared.failures import Parked
from shared.service.consumer import Consumer, PollSettings
from shared.service.processor import MessageBatch
from shared.storage import Storage
from tests.make import FakeClock, eventually

effects = Table("effects", MetaData(), Column("id", Integer, primary_key=True), Column("word", Text))


def read(record: Record) -> str:
    if record.value == b"nonsense":
        raise Parked("cannot read this", "nonsense")
    return record.value.decode()


class Effects:
    """A handler that writes a row a message, and fails where a test says so."""

    def __init__(self) -> None:
        self.poison: set[str] = set()
        self.fail_once: Exception | None = None

    async def handle(self, tx: Tx, batch: MessageBatch) -> None:
        await tx.insert(effects, [{"id": int(word.split("-")[1]), "word": word} for word in batch.messages])
        if self.poison & set(batch.messages):
            raise ValueError("poison")
        if self.fail_once is not None:
            failure, self.fail_once = self.fail_once, None
            raise failure


async def prepare(opened: Storage) -> None:
    async with opened.database.transaction() as tx:
        await tx.run(text("CREATE TABLE effects (id INTEGER, word TEXT)"))


def consumer(
    opened: Storage,
    effect: Effects,
    owner: str = "one",
    limit: int = 50,
    bus: Bus | None = None,
    patience: float = 30.0,
    slice_seconds: float = math.inf,
) -> Consumer:
    parts = (bus or opened.bus, opened.database, FakeClock(), owner)
    return Consumer(
        "g", [USAGE_RAW], effect.handle, *parts, PollSettings(limit), read, patience, slice_seconds=slice_seconds
    )


async def publish(opened: Storage, first: int, last: int) -> None:
    await opened.bus.publish(
        USAGE_RAW.name, [ProducerRecord(str(n).encode(), f"w-{n}".encode()) for n in range(first, last)]
    )


async def count(opened: Storage) -> int:
    async with opened.database.snapshot() as view:
        return int(await view.scalar(select(func.count()).select_from(effects)))


async def ids(opened: Storage) -> list[int]:
    async with opened.database.snapshot() as view:
        return [row.id for row in await view.all(select(effects.c.id).order_by(effects.c.id))]


async def dead_letters(opened: Storage) -> Sequence[tuple[bytes, str, str]]:
    """The dead letters, in order: value, reason, detail."""
    async with opened.database.snapshot() as view:
        rows = await view.all(select(dead_letter).order_by(dead_letter.c.partition, dead_letter.c.offset))
    return [(row.value, row.reason, row.detail) for row in rows]


async def until(opened: Storage, wanted: int, *consumers: Consumer) -> None:
    """Run them until so many effects are there; raises what a consumer raised."""

    async def there() -> bool:
        for task in tasks:
            if task.done():
                task.result()
        return await count(opened) >= wanted

    tasks = [asyncio.create_task(one.run()) for one in consumers]
    try:
        await eventually(there)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run_until_it_fails(one: Consumer) -> None:
    async with asyncio.timeout(90):
        await one.run()
