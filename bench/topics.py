"""Topics of the bench, filled by the product's own sender, as ingest's relay would."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bench.servers import Servers
from bench.stream import Event, Stream, written
from shared.bus.kafka import KafkaBus
from shared.bus.producer import partition_of
from shared.bus.protocol import Partition, ProducerRecord
from shared.contracts.topics import TOPICS, USAGE

PARTITIONS = 4
_CHUNK = 5_000
_OURS = [topic.name for topic in TOPICS]


class RowReport(msgspec.Struct, frozen=True):
    """A peer's transition, as far as it is checked."""

    account: str


class Filled(NamedTuple):
    """A topic `usage.v1` under a prefix of its own, with all of a stream."""

    stream: Stream
    prefix: str

    @property
    def topic(self) -> str:
        return self.prefix + USAGE.name


async def filled(servers: Servers, to_fill: Filled, numbers: range) -> Filled:
    """The events of these numbers, each in its account's partition, after those that stand there."""
    bus = KafkaBus(servers.bootstrap, to_fill.prefix)
    try:
        await bus.open(_OURS, PARTITIONS)
        await _fill(bus, to_fill.stream.some(numbers))
    finally:
        await bus.close()
    return to_fill


async def _fill(bus: KafkaBus, events: Iterable[Event]) -> None:
    shares: dict[int, list[ProducerRecord]] = {part: [] for part in range(PARTITIONS)}
    for event in events:
        key = event.account.encode()
        part = partition_of(key, PARTITIONS)
        shares[part].append(ProducerRecord(key, written(event)))
        if len(shares[part]) >= _CHUNK:
            await bus.producer.send(Partition(USAGE.name, part), shares[part])
            shares[part] = []
    for part, records in shares.items():
        if records:
            await bus.producer.send(Partition(USAGE.name, part), records)


async def made(servers: Servers, name: str, parts: int = 1) -> str:
    """A new topic under our prefix; its whole name."""
    bus = KafkaBus(servers.bootstrap, servers.prefix)
    try:
        await bus.open([name], parts)
    finally:
        await bus.close()
    return servers.prefix + name


async def transitions(servers: Servers, topic: str) -> dict[str, int]:
    """How often each account stands in a peer's topic; what was not committed does not count."""
    decode = msgspec.json.Decoder(RowReport).decode
    return dict(Counter(decode(value).account for value in await values(servers, topic)))


async def values(servers: Servers, topic: str, since: dict[int, int] | None = None) -> list[bytes]:
    """What stands in a topic, from these offsets on."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers.bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        every = [TopicPartition(topic, part) for part in sorted(await _parts(consumer, topic))]
        consumer.assign(every)
        begins, ends = await consumer.beginning_offsets(every), await consumer.end_offsets(every)
        for tp in every:
            consumer.seek(tp, max(begins[tp], (since or {}).get(tp.partition, 0)))
        found: list[bytes] = []
        while any([await consumer.position(tp) < ends[tp] for tp in every]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [record.value for record in records]
        return found
    finally:
        await consumer.stop()


async def _parts(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    """The partitions, as the cluster tells: a consumer without a subscription asks for no topic."""
    await consumer._client.add_topic(topic)  # noqa: SLF001  aiokafka has no public way to learn of a topic it does not read
    return consumer.partitions_for_topic(topic) or set()


async def ends(servers: Servers, topic: str) -> dict[int, int]:
    """The offset of the next record, by partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers.bootstrap)
    await consumer.start()
    try:
        every = [TopicPartition(topic, part) for part in await _parts(consumer, topic)]
        return {tp.partition: end for tp, end in (await consumer.end_offsets(every)).items()}
    finally:
        await consumer.stop()


async def dropped(servers: Servers) -> None:
    """Remove our topics and databases from servers that are not ours; those that are ours end with us."""
    if servers.own:
        return
    await servers.all_dropped()
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.bootstrap)
    await admin.start()
    try:
        ours = [topic for topic in await admin.list_topics() if topic.startswith(servers.prefix)]
        if ours:
            await admin.delete_topics(ours)
    finally:
        await admin.close()
