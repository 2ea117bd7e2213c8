"""How do records reach Kafka? Whole batches for one partition, acknowledged by every in-sync replica."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.bus.protocol import Outgoing, Partition
from shared.failures import Retry

META = "waymark-meta"
SEQ = "waymark-seq"
_PATIENCE = 10.0
_BATCH_BYTES = 512 * 1024
_REQUEST_BYTES = 10 * 1024 * 1024
Acknowledgement = asyncio.Future[object]


class KafkaSender:
    """An idempotent producer, replaced by a new one after any error: the old one may stay stuck for ever."""

    def __init__(self, servers: str, prefix: str = "") -> None:
        self._servers = servers
        self._prefix = prefix
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def send(self, partition: Partition, records: Sequence[Outgoing], first_seq: int | None = None) -> None:
        """Append, in order. With `first_seq` each record carries its place in our own log.

        Raises Retry when not every record was acknowledged: repeat all of them, readers drop what they have.
        """
        producer = await self._started()
        try:
            async with asyncio.timeout(_PATIENCE):
                theirs = Partition(self._prefix + partition.topic, partition.part)
                await asyncio.gather(*await _enqueued(producer, theirs, records, first_seq))
        except (KafkaError, OSError, TimeoutError) as error:
            await self._discard(producer)
            raise Retry(f"Kafka did not acknowledge {partition.topic}: {error or type(error).__name__}") from None

    async def close(self) -> None:
        if self._producer is not None:
            await self._discard(self._producer)

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                self._producer = await _start(self._servers)
            return self._producer

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(5):
                await producer.stop()


async def _start(servers: str) -> AIOKafkaProducer:
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
        async with asyncio.timeout(_PATIENCE):
            await producer.start()
    except (KafkaError, OSError, TimeoutError) as error:
        with suppress(KafkaError, OSError):
            await producer.stop()
        raise Retry(f"no Kafka broker answers at {servers}: {error or type(error).__name__}") from None
    return producer


async def _enqueued(
    producer: AIOKafkaProducer, partition: Partition, records: Sequence[Outgoing], first_seq: int | None
) -> list[Acknowledgement]:
    waiting: list[Acknowledgement] = []
    batch = producer.create_batch()
    for place, record in enumerate(records):
        headers = _headers(record, None if first_seq is None else first_seq + place)
        if batch.append(timestamp=None, key=record.key, value=record.value, headers=headers) is None:
            waiting.append(await producer.send_batch(batch, partition.topic, partition=partition.part))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=record.key, value=record.value, headers=headers)
    if batch.record_count():
        waiting.append(await producer.send_batch(batch, partition.topic, partition=partition.part))
    return waiting


def _headers(record: Outgoing, seq: int | None) -> list[tuple[str, bytes]]:
    headers = [(META, record.meta)] if record.meta else []
    if seq is not None:
        headers.append((SEQ, seq.to_bytes(8, "big")))
    return headers
