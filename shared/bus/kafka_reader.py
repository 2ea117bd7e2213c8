"""How are records read from Kafka? As a member of a group, from where our own cursor says, never from where Kafka's does."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from shared.bus.kafka_producer import META, SEQ
from shared.bus.protocol import Batch, Bounds, Owner, Partition, Record
from shared.failures import Retry


class KafkaReader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka publishes no types
    """A member of the group. What it hands out before its owner has claimed a partition, the owner drops."""

    def __init__(self, consumer: AIOKafkaConsumer, topics: Sequence[str], owner: Owner) -> None:
        self._consumer = consumer
        self._owner = owner
        self._error: Exception | None = None
        consumer.subscribe(topics=list(topics), listener=self)

    async def poll(self, limit: int, wait: float) -> list[Batch]:
        try:
            found = await self._consumer.getmany(timeout_ms=int(wait * 1000), max_records=limit)
        except KafkaError as error:
            raise Retry(f"reading from Kafka failed: {error}") from error
        if self._error is not None:
            failed, self._error = self._error, None
            raise failed
        return [Batch(_ours(tp), [_record(record) for record in records]) for tp, records in found.items() if records]

    def seek(self, partition: Partition, offset: int) -> None:
        with suppress(IllegalStateError):  # no longer ours: whoever has it starts from the cursor
            self._consumer.seek(TopicPartition(*partition), offset)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._owner.revoked({_ours(tp) for tp in revoked})

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Aiokafka only logs what a listener raises: keep it for the next poll."""
        try:
            bounds = await self._bounds(assigned)
            for partition, offset in (await self._owner.assigned(bounds)).items():
                self.seek(partition, offset)
        except Exception as error:  # noqa: BLE001  any: the poll raises it
            self._error = error

    async def commit_hint(self, offsets: dict[Partition, int]) -> None:
        """Tell Kafka how far we are, for lag dashboards only: failing is harmless."""
        with suppress(KafkaError, IllegalStateError, TimeoutError):
            hint = {TopicPartition(*partition): offset for partition, offset in offsets.items()}
            await asyncio.wait_for(self._consumer.commit(hint), 3)

    async def _bounds(self, assigned: set[TopicPartition]) -> dict[Partition, Bounds]:
        if not assigned:
            return {}
        begins = await self._consumer.beginning_offsets(list(assigned))
        ends = await self._consumer.end_offsets(list(assigned))
        return {_ours(tp): Bounds(begins[tp], ends[tp]) for tp in assigned}


def _ours(tp: TopicPartition) -> Partition:
    return Partition(tp.topic, tp.partition)


def _record(record: ConsumerRecord) -> Record:
    meta, seq = b"", -1
    for name, value in record.headers:
        if name == SEQ:
            seq = int.from_bytes(value, "big")
        elif name == META:
            meta = value
    return Record(record.offset, seq, record.timestamp, record.key or b"", record.value or b"", meta)
