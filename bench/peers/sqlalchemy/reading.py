"""Reading of the two SQLAlchemy runners: aiokafka, each partition from the offset in the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from peer import Job


@asynccontextmanager
async def opened(of: Job) -> AsyncIterator[tuple[AIOKafkaConsumer, AIOKafkaProducer]]:
    """A consumer at the beginning: the database is new and remembers nothing."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=of.bootstrap, enable_auto_commit=False, max_partition_fetch_bytes=4 * 1024 * 1024
    )
    producer = AIOKafkaProducer(bootstrap_servers=of.bootstrap, acks="all")
    await consumer.start()
    await producer.start()
    every = [TopicPartition(of.topic, part) for part in range(of.partitions)]
    consumer.assign(every)
    await consumer.seek_to_beginning(*every)
    try:
        yield consumer, producer
    finally:
        await consumer.stop()
        await producer.stop()
