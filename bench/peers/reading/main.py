"""Reading alone: aiokafka's `getmany`, msgspec, a dict. It stores nothing: the limit of reading."""

import asyncio

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from peer import Job, Progress, State, done, end, fold, job, keep, state, transition


class Properties(msgspec.Struct, gc=False):
    """The one property that is folded."""

    feature: str


class Event(msgspec.Struct, gc=False):
    """What is folded of an event; the rest is skipped."""

    account: str
    at: str
    properties: Properties


async def main(of: Job) -> None:
    """Read everything once."""
    consumer = AIOKafkaConsumer(
        of.topic,
        bootstrap_servers=of.bootstrap,
        group_id=of.group,
        auto_offset_reset="earliest",
        enable_auto_commit=True,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    producer = AIOKafkaProducer(bootstrap_servers=of.bootstrap)
    await consumer.start()
    await producer.start()
    accounts = await _folded(of, consumer, producer)
    await producer.stop()
    keep(of, accounts)
    end()


async def _folded(of: Job, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> dict[str, State]:
    decode, progress = msgspec.json.Decoder(Event).decode, Progress(of)
    accounts: dict[str, State] = {}
    last = False
    while not last:
        found = await consumer.getmany(timeout_ms=500, max_records=5_000)
        last = progress.some(sum(map(len, found.values())))
        for record in (record for records in found.values() for record in records):
            event = decode(record.value)
            kept = accounts.get(event.account)
            if kept is None:
                kept = accounts[event.account] = state()
            if fold(kept, event.properties.feature, event.at, of.threshold):
                await producer.send(of.output, transition(event.account, kept))
    done()
    return accounts


if __name__ == "__main__":
    asyncio.run(main(job()))
