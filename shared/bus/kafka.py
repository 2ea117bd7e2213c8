"""The log on Apache Kafka.

No Kafka transactions (aiokafka speaks only the old protocol, which can tear them): the cursor in the service's own
database makes effects exact, and Kafka's committed offsets are a hint for lag dashboards.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from shared.bus.blocks import by_partition
from shared.bus.gather import Gather
from shared.bus.kafka_producer import KafkaSender
from shared.bus.kafka_reader import KafkaReader, ours
from shared.bus.protocol import Bounds, Outgoing, Partition, Reader, RebalanceListener
from shared.failures import Retry

_PATIENCE = 10.0
_ALREADY_THERE = 36
_LARGEST = 10 * 1024 * 1024
_COPIES = 3
_HEARTBEAT_MS = 3000
_PARTITION_BYTES = 4 * 1024 * 1024
_FETCH_BYTES = 16 * 1024 * 1024
"""What a poll may hold, however many records it asks for: as much, compressed, as was fetched ahead from each broker."""


class KafkaBus:
    """A Kafka cluster. Open it before use: that creates missing topics and learns how many partitions there are.

    `prefix` stands before the name of every topic and group, for several installations on one cluster. After
    `session_seconds` without a heartbeat a reader's partitions go to other members of its group.
    """

    def __init__(self, servers: str, prefix: str = "", session_seconds: int = 15) -> None:
        self._servers = servers
        self._prefix = prefix
        self._session_ms = session_seconds * 1000
        self._parts: dict[str, int] = {}
        self.sender = KafkaSender(servers, prefix)
        self._gather = Gather(self._flush)

    async def open(self, topics: Sequence[str], parts: int) -> None:
        """Create missing topics with `parts` partitions. Raises Retry when no broker answers."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers, request_timeout_ms=10_000)
        try:
            async with asyncio.timeout(_PATIENCE):
                await admin.start()
                found = await _ensured(admin, [self._prefix + topic for topic in topics], parts)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Retry(f"no Kafka broker answers at {self._servers}: {error or type(error).__name__}") from None
        finally:
            with suppress(KafkaError, OSError):
                await admin.close()
        self._parts = {name.removeprefix(self._prefix): count for name, count in found.items()}

    def partitions(self, topic: str) -> int:
        return self._parts[topic]

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        await self._gather.publish(topic, records)

    @asynccontextmanager
    async def reader(self, group: str, topics: Sequence[str], listener: RebalanceListener) -> AsyncIterator[Reader]:
        async with self._consumer(group) as consumer:
            yield KafkaReader(consumer, self._prefix, topics, listener)

    async def bounds(self, topics: Sequence[str]) -> dict[Partition, Bounds]:
        every = [TopicPartition(self._prefix + topic, part) for topic in topics for part in range(self._parts[topic])]
        async with self._consumer(None) as consumer, asyncio.timeout(_PATIENCE):
            begins, ends = await consumer.beginning_offsets(every), await consumer.end_offsets(every)
        return {ours(tp, self._prefix): Bounds(begins[tp], ends[tp]) for tp in every}

    async def close(self) -> None:
        await self._gather.close()
        await self.sender.close()

    @asynccontextmanager
    async def _consumer(self, group: str | None) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=None if group is None else self._prefix + group,
            enable_auto_commit=False,
            auto_offset_reset="none",  # a reset is a skip: our own cursor says where, or the reader stops
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=min(_HEARTBEAT_MS, self._session_ms // 3),
            rebalance_timeout_ms=30_000,
            max_partition_fetch_bytes=_PARTITION_BYTES,
            fetch_max_bytes=_FETCH_BYTES,
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                await consumer.start()
            yield consumer
        except (KafkaError, TimeoutError) as error:
            raise Retry(f"no Kafka broker answers at {self._servers}: {error or type(error).__name__}") from error
        finally:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(5):
                    await consumer.stop()

    async def _flush(self, topic: str, records: list[Outgoing]) -> None:
        shares = by_partition(records, self._parts[topic])
        await asyncio.gather(*(self.sender.send(Partition(topic, part), share) for part, share in shares.items()))


async def _ensured(admin: AIOKafkaAdminClient, topics: Sequence[str], parts: int) -> dict[str, int]:
    copies = min(_COPIES, len((await admin.describe_cluster())["brokers"]))
    config = {
        "max.message.bytes": str(_LARGEST),
        "min.insync.replicas": str(max(1, copies - 1)),
        "message.timestamp.type": "LogAppendTime",
    }
    new = [NewTopic(topic, parts, copies, topic_configs=config) for topic in topics]
    answer = await admin.create_topics(new)
    for topic, code, *rest in answer.topic_errors:
        if code not in {0, _ALREADY_THERE}:
            raise Retry(f"Kafka will not create {topic}: error {code} {rest}")
    while True:
        found = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(list(topics))}
        if all(found.get(topic) for topic in topics):
            return found
        await asyncio.sleep(0.1)
