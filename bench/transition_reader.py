"""Reader of `lifecycle.v1`: the time at which a transition is in hand, from Kafka or from the log in the SQLite file."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.errors import InvalidResult
from shared.bus.outbox import decode_block
from shared.contracts.lifecycle import LifecycleMessage, StageChanged
from shared.contracts.topics import LIFECYCLE
from shared.settings import Settings

_decode = msgspec.json.Decoder(LifecycleMessage).decode
_LOOK = 0.005
_PATIENCE = 20.0


class Seen(dict[str, float]):
    """For each account the moment (monotonic clock) at which its first transition was in hand."""

    def take(self, values: Iterable[bytes]) -> None:
        now = time.monotonic()
        for message in map(_decode, values):
            if isinstance(message, StageChanged):
                self.setdefault(message.account, now)

    async def moment(self, account: str) -> float:
        """When that account's was. Raises InvalidResult when it never comes."""
        deadline = time.monotonic() + _PATIENCE
        while account not in self:
            if time.monotonic() > deadline:
                raise InvalidResult(f"no reader of lifecycle.v1 saw {account} begin")
            await asyncio.sleep(_LOOK)
        return self[account]


@asynccontextmanager
async def watching(settings: Settings) -> AsyncIterator[Seen]:
    """What is published from now on."""
    seen = Seen()
    started = asyncio.Event()
    watch = _in_the_file if settings.embedded else _on_kafka
    task = asyncio.create_task(watch(settings, seen, started))
    await asyncio.wait({task, asyncio.create_task(started.wait())}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()


async def _on_kafka(settings: Settings, seen: Seen, started: asyncio.Event) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=str(settings.bus_url).removeprefix("kafka://"))
    await consumer.start()
    try:
        topic = settings.topic_prefix + LIFECYCLE.name
        every = [TopicPartition(topic, part) for part in range(settings.partitions)]
        consumer.assign(every)
        await consumer.seek_to_end(*every)
        started.set()
        while True:
            found = await consumer.getmany(timeout_ms=200)
            seen.take(record.value for records in found.values() for record in records)
    finally:
        await consumer.stop()


async def _in_the_file(settings: Settings, seen: Seen, started: asyncio.Event) -> None:
    """Services in the one process are woken; from outside we can only look often."""
    newer = "SELECT base_offset + record_count, block FROM log_block WHERE topic = ? AND base_offset >= ? ORDER BY base_offset"
    with closing(sqlite3.connect(f"file:{settings.data / 'waymark.db'}?mode=ro", uri=True)) as file:
        last = file.execute("SELECT next_offset FROM log_end WHERE topic = ?", (LIFECYCLE.name,)).fetchone()
        position = last[0] if last else 0
        started.set()
        while True:
            for end, block in file.execute(newer, (LIFECYCLE.name, position)).fetchall():
                seen.take(record.value for record in decode_block(block))
                position = end
            await asyncio.sleep(_LOOK)
