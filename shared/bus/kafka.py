"""Kafka log: the bus over Apache Kafka, with its idempotent producer and its consumer-group reader.

No Kafka transactions (aiokafka speaks only the old protocol, which can tear them): the cursor in the service's own
database makes effects exact, and Kafka's committed offsets are a hint for lag dashboards.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared.bus import topic_settings
from shared.bus.producer import GroupCommit, group_by_partition
from shared.bus.protocol import Bounds, Partition, ProducerRecord, Reader, RebalanceListener, Record, RecordBatch
from shared.failures import Halted, Refused, Retry

META_HEADER = "waymark-meta"
SEQUENCE_HEADER = "waymark-seq"
_TIMEOUT = 10.0
_OPEN_TIMEOUT = 30.0
"""Creating topics and setting their retention takes several answers of a broker, which may just have started."""
_TOPIC_ALREADY_EXISTS = 36
_MAX_MESSAGE_BYTES = 10 * 1024 * 1024
_REPLICAS = 3
_HEARTBEAT_MS = 3000
_BATCH_BYTES = 512 * 1024
_REQUEST_BYTES = 10 * 1024 * 1024
_PARTITION_BYTES = 4 * 1024 * 1024
_FETCH_BYTES = 16 * 1024 * 1024
"""What a poll may hold, however many records it asks for: as much, compressed, as was fetched ahead from each broker."""
_CLAIM_ATTEMPTS = 5
_METADATA_MS = 15_000
"""Partitions that were added are read after so long at the latest."""
T = TypeVar("T")


class KafkaBus:
    """A Kafka cluster. Open it before use: that creates missing topics and learns how many partitions there are.

    `prefix` stands before the name of every topic and group, for several installations on one cluster. After
    `session_seconds` without a heartbeat a reader's partitions go to other members of its group. `archive_days`: how long
    usage.v1 is kept, 0 is for ever.
    """

    def __init__(self, servers: str, prefix: str = "", session_seconds: int = 15, archive_days: int = 0) -> None:
        self._servers = servers
        self._prefix = prefix
        self._archive_days = archive_days
        self._session_ms = session_seconds * 1000
        self._partitions: dict[str, int] = {}
        self.producer = KafkaProducer(servers, prefix)
        self._group_commit = GroupCommit(self._flush)

    async def open(self, topics: Sequence[str], partitions: int) -> None:
        """Create missing topics with so many partitions. Raises Retry when no broker answers, Refused for a compacted one."""
        config = {self._prefix + topic: topic_settings.wanted(topic, self._archive_days) for topic in topics}
        async with self._admin(_OPEN_TIMEOUT) as admin:
            self._partitions = self._without_prefixes(await _create_topics(admin, config, partitions))
            for topic, found in self._without_prefixes(await topic_settings.describe(admin, list(config))).items():
                if topic_settings.is_compacted(found):
                    raise Refused(topic_settings.problem(topic, found, self._archive_days))
                if changes := topic_settings.missing(topic, found, self._archive_days):
                    await topic_settings.change(admin, self._prefix + topic, found, changes)

    async def retention_problem(self) -> str:
        return await self.retention_problem_of(self._partitions) if self._partitions else ""

    async def retention_problem_of(self, topics: Iterable[str]) -> str:
        """The same of those of these topics that exist, also where nobody has opened the log yet."""
        async with self._admin() as admin:
            existing = {*await admin.list_topics()}
            wanted = [self._prefix + topic for topic in topics if self._prefix + topic in existing]
            settings = await topic_settings.describe(admin, wanted) if wanted else {}
        problems = (
            topic_settings.problem(topic, found, self._archive_days)
            for topic, found in sorted(self._without_prefixes(settings).items())
        )
        return "; ".join(filter(None, problems))

    def partitions(self, topic: str) -> int:
        return self._partitions[topic]

    async def publish(self, topic: str, records: Sequence[ProducerRecord]) -> None:
        await self._group_commit.publish(topic, records)

    @asynccontextmanager
    async def reader(self, group: str, topics: Sequence[str], listener: RebalanceListener) -> AsyncIterator[Reader]:
        async with self._consumer(group) as consumer:
            yield KafkaReader(consumer, self._prefix, topics, listener)

    async def bounds(self, topics: Sequence[str]) -> dict[Partition, Bounds]:
        async with self._admin() as admin:  # there may be more by now than at start
            counts = await _count_partitions(admin, [self._prefix + topic for topic in topics])
        every = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
        async with self._consumer(None) as consumer, asyncio.timeout(_TIMEOUT):
            begins, ends = await consumer.beginning_offsets(every), await consumer.end_offsets(every)
        return {_without_prefix(tp, self._prefix): Bounds(begins[tp], ends[tp]) for tp in every}

    async def close(self) -> None:
        await self._group_commit.close()
        await self.producer.close()

    def _without_prefixes(self, found: dict[str, T]) -> dict[str, T]:
        return {name.removeprefix(self._prefix): value for name, value in found.items()}

    @asynccontextmanager
    async def _admin(self, seconds: float = _TIMEOUT) -> AsyncIterator[AIOKafkaAdminClient]:
        """Raises Retry when no broker answers."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers, request_timeout_ms=10_000)
        try:
            async with asyncio.timeout(seconds):
                await admin.start()
                yield admin
        except (KafkaError, OSError, TimeoutError) as error:
            raise _no_answer(self._servers, error) from None
        finally:
            with suppress(KafkaError, OSError):
                await admin.close()

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
            metadata_max_age_ms=_METADATA_MS,
        )
        try:
            async with asyncio.timeout(_TIMEOUT):
                await consumer.start()
            yield consumer
        except (KafkaError, TimeoutError) as error:
            raise _no_answer(self._servers, error) from error
        finally:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(5):
                    await consumer.stop()

    async def _flush(self, topic: str, records: list[ProducerRecord]) -> None:
        grouped = group_by_partition(records, self._partitions[topic])
        await asyncio.gather(*(self.producer.send(Partition(topic, n), share) for n, share in grouped.items()))


def _no_answer(servers: str, error: Exception) -> Retry:
    return Retry(f"no Kafka broker answers at {servers}: {error or type(error).__name__}")


async def _create_topics(
    admin: AIOKafkaAdminClient, topics: Mapping[str, dict[str, str]], partitions: int
) -> dict[str, int]:
    """Those of `topics` (whole name -> settings of its own) that are missing; every one's number of partitions."""
    replicas = min(_REPLICAS, len((await admin.describe_cluster())["brokers"]))
    config = {
        "max.message.bytes": str(_MAX_MESSAGE_BYTES),
        "min.insync.replicas": str(max(1, replicas - 1)),
        "message.timestamp.type": "LogAppendTime",
    }
    new = [NewTopic(topic, partitions, replicas, topic_configs=config | own) for topic, own in topics.items()]
    answer = await admin.create_topics(new)
    for topic, code, *details in answer.topic_errors:
        if code not in {0, _TOPIC_ALREADY_EXISTS}:
            raise Retry(f"Kafka will not create {topic}: error {code} {details}")
    while True:
        counts = await _count_partitions(admin, list(topics))
        if all(counts.get(topic) for topic in topics):
            return counts
        await asyncio.sleep(0.1)


async def _count_partitions(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, int]:
    """The number of partitions of each topic, whole names; 0 for one that is not there yet."""
    return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(list(topics))}


def _without_prefix(tp: TopicPartition, prefix: str) -> Partition:
    """The partition as ours."""
    return Partition(tp.topic.removeprefix(prefix), tp.partition)


Acknowledgement = asyncio.Future[object]


class KafkaProducer:
    """An idempotent producer of whole batches for one partition, acknowledged by every in-sync replica.

    After any error it is replaced by a new one: the old one may hang for ever.
    """

    def __init__(self, servers: str, prefix: str = "") -> None:
        self._servers = servers
        self._prefix = prefix
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def send(
        self, partition: Partition, records: Sequence[ProducerRecord], first_sequence: int | None = None
    ) -> None:
        """Append, in order. With `first_sequence` each record carries its offset in our own log.

        Raises Retry when not every record was acknowledged: repeat all of them, readers drop what they have.
        """
        producer = await self._started()
        try:
            async with asyncio.timeout(_TIMEOUT):
                prefixed = Partition(self._prefix + partition.topic, partition.number)
                await asyncio.gather(*await _enqueue(producer, prefixed, records, first_sequence))
        except (KafkaError, OSError, TimeoutError) as error:
            await self._discard(producer)
            raise Retry(f"Kafka did not acknowledge {partition.topic}: {error or type(error).__name__}") from None

    async def close(self) -> None:
        if self._producer is not None:
            await self._discard(self._producer)

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                self._producer = await _start_producer(self._servers)
            return self._producer

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(5):
                await producer.stop()


async def _start_producer(servers: str) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        bootstrap_servers=servers,
        enable_idempotence=True,
        acks="all",
        compression_type="snappy",
        max_batch_size=_BATCH_BYTES,
        max_request_size=_REQUEST_BYTES,
        request_timeout_ms=10_000,
    )
    try:
        async with asyncio.timeout(_TIMEOUT):
            await producer.start()
    except (KafkaError, OSError, TimeoutError) as error:
        with suppress(KafkaError, OSError):
            await producer.stop()
        raise _no_answer(servers, error) from None
    return producer


async def _enqueue(
    producer: AIOKafkaProducer, partition: Partition, records: Sequence[ProducerRecord], first_sequence: int | None
) -> list[Acknowledgement]:
    waiting: list[Acknowledgement] = []
    batch = producer.create_batch()
    for index, record in enumerate(records):
        headers = _headers(record, None if first_sequence is None else first_sequence + index)
        if batch.append(timestamp=None, key=record.key, value=record.value, headers=headers) is None:
            waiting.append(await producer.send_batch(batch, partition.topic, partition=partition.number))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=record.key, value=record.value, headers=headers)
    if batch.record_count():
        waiting.append(await producer.send_batch(batch, partition.topic, partition=partition.number))
    return waiting


def _headers(record: ProducerRecord, sequence: int | None) -> list[tuple[str, bytes]]:
    headers = [(META_HEADER, record.meta)] if record.meta else []
    if sequence is not None:
        headers.append((SEQUENCE_HEADER, sequence.to_bytes(8, "big")))
    return headers


Fetched = dict[TopicPartition, list[ConsumerRecord]]


class KafkaReader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka publishes no types
    """A member of a consumer group that starts where its listener's cursor says, never where Kafka's offsets do.

    The listener drops what the reader returns before the partition is claimed.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, prefix: str, topics: Sequence[str], listener: RebalanceListener
    ) -> None:
        self._consumer = consumer
        self._prefix = prefix
        self._listener = listener
        self._error: Exception | None = None
        self._positioned: set[TopicPartition] = set()
        consumer.subscribe(topics=[prefix + topic for topic in topics], listener=self)

    async def poll(self, max_records: int, max_wait: float) -> list[RecordBatch]:
        """Whatever is there first, then of every partition what came with it, up to its limit: a busy one hides none.

        A reader that keeps up fetches on demand: what aiokafka fetches ahead, right after a poll, is old by the next one.
        """
        self._consumer.resume(*self._consumer.paused())
        fetched = await self._fetch(max_records, max_wait)
        for tp in self._consumer.assignment() if fetched else ():
            records = fetched.setdefault(tp, [])
            if len(records) < max_records:
                _extend(records, (await self._fetch(max_records - len(records), 0, tp)).get(tp, []))
        if fetched and all(len(records) < max_records for records in fetched.values()):
            self._consumer.pause(*self._consumer.assignment())
        if self._error is not None:
            failed, self._error = self._error, None
            raise failed
        return [
            RecordBatch(_without_prefix(tp, self._prefix), [_record(record) for record in records])
            for tp, records in fetched.items()
            if records
        ]

    async def _fetch(self, max_records: int, max_wait: float, *only: TopicPartition) -> Fetched:
        try:
            fetched: Fetched = await self._consumer.getmany(
                *only, timeout_ms=int(max_wait * 1000), max_records=max_records
            )
        except NoOffsetForPartitionError:
            return {}  # it has looked for a position before the listener has said one
        except OffsetOutOfRangeError as error:
            return self._out_of_range(error)
        except KafkaError as error:
            raise Retry(f"reading from Kafka failed: {error}") from error
        return fetched

    def seek(self, partition: Partition, offset: int) -> None:
        with suppress(IllegalStateError):  # no longer ours: the new owner starts from the cursor
            self._consumer.seek(self._with_prefix(partition), offset)
            self._positioned.add(self._with_prefix(partition))

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._positioned -= revoked
        await self._listener.on_revoked({_without_prefix(tp, self._prefix) for tp in revoked})

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Aiokafka only logs what a listener raises: keep it for the next poll."""
        try:
            starts = await start_offsets(self._listener, partial(self._bounds, assigned))
            for partition, offset in starts.items():
                self.seek(partition, offset)
        except Exception as error:  # noqa: BLE001  any: the poll raises it
            self._error = error

    async def position(self, partition: Partition) -> int | None:
        with suppress(IllegalStateError, KafkaError, TimeoutError):
            async with asyncio.timeout(1):
                return int(await self._consumer.position(self._with_prefix(partition)))
        return None

    async def commit_hint(self, positions: dict[Partition, int]) -> None:
        if not positions:
            return  # aiokafka takes that for a mistake
        with suppress(KafkaError, TimeoutError):
            offsets = {self._with_prefix(partition): offset for partition, offset in positions.items()}
            async with asyncio.timeout(3):
                await self._consumer.commit(offsets)

    def _out_of_range(self, error: OffsetOutOfRangeError) -> Fetched:
        """The log was truncated under us: the next claim finds out how. Where nobody has sought, the offset was Kafka's guess."""
        [lost] = error.args
        if self._positioned.isdisjoint(lost):
            return {}
        raise Retry(f"Kafka no longer holds {lost}") from error

    def _with_prefix(self, partition: Partition) -> TopicPartition:
        return TopicPartition(self._prefix + partition.topic, partition.number)

    async def _bounds(self, assigned: set[TopicPartition]) -> dict[Partition, Bounds]:
        if not assigned:
            return {}
        begins = await self._consumer.beginning_offsets(list(assigned))
        ends = await self._consumer.end_offsets(list(assigned))
        return {_without_prefix(tp, self._prefix): Bounds(begins[tp], ends[tp]) for tp in assigned}


async def start_offsets(
    listener: RebalanceListener, measure: Callable[[], Awaitable[dict[Partition, Bounds]]]
) -> dict[Partition, int]:
    """Have the listener claim the partitions that `measure` finds; the offsets to start from.

    A cursor beyond the end may mean that another member read on between our look at the log and our claim: so the log is
    measured anew, a few times, before it is taken for truncated. Raises what the listener raises at last.
    """
    for _ in range(_CLAIM_ATTEMPTS - 1):
        with suppress(Halted):
            return await listener.on_assigned(await measure())
    return await listener.on_assigned(await measure())


def _extend(records: list[ConsumerRecord], more: list[ConsumerRecord]) -> None:
    """Raises Retry where the reader was repositioned in between: what follows is not what comes next."""
    if records and more and more[0].offset <= records[-1].offset:
        raise Retry("the partition was dealt anew while it was read")
    records += more


def _record(record: ConsumerRecord) -> Record:
    meta, sequence = b"", -1
    for name, value in record.headers:
        if name == SEQUENCE_HEADER:
            sequence = int.from_bytes(value, "big")
        elif name == META_HEADER:
            meta = value
    return Record(record.offset, sequence, record.timestamp, record.key or b"", record.value or b"", meta)
