"""How fast does aiokafka alone read the same topic? `getmany`, nothing decoded: the limit that no reader in Python passes."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.cpu import used
from bench.failure import Wrong
from shared.contracts.topics import USAGE
from shared.settings import Settings

_PATIENCE = 60
_MOST = 5_000


async def raw_rate(settings: Settings, pid: int) -> dict[str, float]:
    """Read all of `usage.v1` once. The services are stopped by then."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=str(settings.bus_url).removeprefix("kafka://"),
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    try:
        every = [TopicPartition(settings.topic_prefix + USAGE.name, part) for part in range(settings.partitions)]
        count = sum((await consumer.end_offsets(every)).values())
        before, begun = used([pid]), time.monotonic()
        consumer.assign(every)
        async with asyncio.timeout(_PATIENCE):
            await _read(consumer, count)
        seconds = time.monotonic() - begun
    except TimeoutError:
        raise Wrong(f"aiokafka did not read {count} records within {_PATIENCE} s") from None
    finally:
        await consumer.stop()
    return {"events/s": count / seconds, "cpu us/event reader": (used([pid]) - before) / count * 1e6}


async def _read(consumer: AIOKafkaConsumer, count: int) -> None:
    read = 0
    while read < count:
        found = await consumer.getmany(timeout_ms=500, max_records=_MOST)
        read += sum(map(len, found.values()))
