"""How are records read from Kafka? As a member of a group, from where our own cursor says, never from where Kafka's does."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared.bus.claiming import claimed
from shared.bus.kafka_producer import META, SEQ
from shared.bus.protocol import Batch, Bounds, Partition, RebalanceListener, Record
from shared.failures import Retry

Fetched = dict[TopicPartition, list[ConsumerRecord]]


class KafkaReader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka publishes no types
    """A member of the group. What it hands out before its owner has claimed a partition, the owner drops."""

    def __init__(
        self, consumer: AIOKafkaConsumer, prefix: str, topics: Sequence[str], listener: RebalanceListener
    ) -> None:
        self._consumer = consumer
        self._prefix = prefix
        self._listener = listener
        self._error: Exception | None = None
        self._placed: set[TopicPartition] = set()
        consumer.subscribe(topics=[prefix + topic for topic in topics], listener=self)

    async def poll(self, limit: int, wait: float) -> list[Batch]:
        """First whatever is there, then of every partition what came with it, up to its limit: one with much hides none.

        Who keeps up fetches when asked: what aiokafka fetches ahead, right after a poll, is old by the next one.
        """
        self._consumer.resume(*self._consumer.paused())
        found = await self._fetched(limit, wait)
        for tp in self._consumer.assignment() if found else ():
            known = found.setdefault(tp, [])
            if len(known) < limit:
                _go_on(known, (await self._fetched(limit - len(known), 0, tp)).get(tp, []))
        if found and all(len(records) < limit for records in found.values()):
            self._consumer.pause(*self._consumer.assignment())
        if self._error is not None:
            failed, self._error = self._error, None
            raise failed
        return [
            Batch(ours(tp, self._prefix), [_record(record) for record in records])
            for tp, records in found.items()
            if records
        ]

    async def _fetched(self, limit: int, wait: float, *only: TopicPartition) -> Fetched:
        try:
            found: Fetched = await self._consumer.getmany(*only, timeout_ms=int(wait * 1000), max_records=limit)
        except NoOffsetForPartitionError:
            return {}  # it has looked for a position before its owner has said one
        except OffsetOutOfRangeError as error:
            return self._lost(error)
        except KafkaError as error:
            raise Retry(f"reading from Kafka failed: {error}") from error
        return found

    def seek(self, partition: Partition, offset: int) -> None:
        with suppress(IllegalStateError):  # no longer ours: whoever has it starts from the cursor
            self._consumer.seek(self._theirs(partition), offset)
            self._placed.add(self._theirs(partition))

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._placed -= revoked
        await self._listener.on_revoked({ours(tp, self._prefix) for tp in revoked})

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Aiokafka only logs what a listener raises: keep it for the next poll."""
        try:
            for partition, offset in (await claimed(self._listener, partial(self._bounds, assigned))).items():
                self.seek(partition, offset)
        except Exception as error:  # noqa: BLE001  any: the poll raises it
            self._error = error

    async def position(self, partition: Partition) -> int | None:
        with suppress(IllegalStateError, KafkaError, TimeoutError):
            async with asyncio.timeout(1):
                return int(await self._consumer.position(self._theirs(partition)))
        return None

    async def hint(self, positions: dict[Partition, int]) -> None:
        if not positions:
            return  # aiokafka takes that for a mistake
        with suppress(KafkaError, TimeoutError):
            told = {self._theirs(partition): offset for partition, offset in positions.items()}
            async with asyncio.timeout(3):
                await self._consumer.commit(told)

    def _lost(self, error: OffsetOutOfRangeError) -> Fetched:
        """The log has shrunk under us: the next claim finds out how. A place that was only Kafka's guess is no news."""
        [lost] = error.args
        if self._placed.isdisjoint(lost):
            return {}
        raise Retry(f"Kafka no longer holds {lost}") from error

    def _theirs(self, partition: Partition) -> TopicPartition:
        return TopicPartition(self._prefix + partition.topic, partition.part)

    async def _bounds(self, assigned: set[TopicPartition]) -> dict[Partition, Bounds]:
        if not assigned:
            return {}
        begins = await self._consumer.beginning_offsets(list(assigned))
        ends = await self._consumer.end_offsets(list(assigned))
        return {ours(tp, self._prefix): Bounds(begins[tp], ends[tp]) for tp in assigned}


def ours(tp: TopicPartition, prefix: str) -> Partition:
    """A partition as the rest of the code names it."""
    return Partition(tp.topic.removeprefix(prefix), tp.partition)


def _go_on(known: list[ConsumerRecord], more: list[ConsumerRecord]) -> None:
    """Raises Retry where the reader was placed anew in between: what follows is not what comes next."""
    if known and more and more[0].offset <= known[-1].offset:
        raise Retry("the partition was dealt anew while it was read")
    known += more


def _record(record: ConsumerRecord) -> Record:
    meta, seq = b"", -1
    for name, value in record.headers:
        if name == SEQ:
            seq = int.from_bytes(value, "big")
        elif name == META:
            meta = value
    return Record(record.offset, seq, record.timestamp, record.key or b"", record.value or b"", meta)
