"""What lies in the log on Kafka, from its beginning to its end?"""

from collections.abc import AsyncIterator
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.bus.kafka import SEQUENCE_HEADER
from shared.bus.protocol import Bounds, Partition


class Lying(NamedTuple):
    """A record as it lies there. `seq` is its place in its producer's own log, -1 where it keeps none."""

    topic: str
    part: int
    offset: int
    seq: int
    value: bytes


async def lying(servers: str, bounds: dict[Partition, Bounds]) -> AsyncIterator[Lying]:
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
                    yield Lying(topic, part, record.offset, _seq(record), record.value or b"")
    finally:
        await consumer.stop()


def _seq(record: ConsumerRecord) -> int:
    return next((int.from_bytes(value, "big") for name, value in record.headers if name == SEQUENCE_HEADER), -1)
