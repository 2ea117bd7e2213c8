"""Kafka reader: assignments start at the listener's cursor, measured against a log that grows meanwhile."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from shared.bus.kafka import KafkaReader
from shared.bus.protocol import Bounds, Partition
from shared.failures import Halted, Retry
from shared.service.ownership import Claim, check_bounds

HERE = TopicPartition("t", 0)


class Lively:
    """What KafkaReader asks of aiokafka's consumer, of a log that grows with every look."""

    def __init__(self, *ends: int) -> None:
        self._ends = list(ends)
        self.sought: list[int] = []
        self.rests: set[TopicPartition] = set()

    def subscribe(self, **_topics: Any) -> None: ...

    async def beginning_offsets(self, _parts: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {HERE: 0}

    async def end_offsets(self, _parts: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {HERE: self._ends.pop(0)}

    def seek(self, _partition: TopicPartition, offset: int) -> None:
        self.sought.append(offset)

    async def getmany(self, *_only: TopicPartition, **_limits: Any) -> dict[TopicPartition, list[Any]]:
        return {}

    def assignment(self) -> set[TopicPartition]:
        return {HERE}

    def paused(self) -> set[TopicPartition]:
        return set()

    def resume(self, *_parts: TopicPartition) -> None: ...

    def pause(self, *parts: TopicPartition) -> None:
        self.rests = set(parts)

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        if not offsets:
            raise ValueError(offsets)  # as aiokafka does


class Handing(Lively):
    """It hands out these offsets, one answer after the other."""

    def __init__(self, *answers: Sequence[int]) -> None:
        super().__init__()
        self._answers = list(answers)

    async def getmany(self, *_only: TopicPartition, **_limits: Any) -> dict[TopicPartition, list[Any]]:
        return {HERE: [_at(offset) for offset in self._answers.pop(0)]}


def _at(offset: int) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord("t", 0, offset, 0, 0, b"k", b"v", None, 1, 1, ())


class Owner:
    """Whose cursor stands at 12, since the owner before moved it while we measured the log."""

    async def on_assigned(self, partitions: dict[Partition, Bounds]) -> dict[Partition, int]:
        for partition, bounds in partitions.items():
            check_bounds("g", partition, Claim(1, 12, 0), bounds)
        return dict.fromkeys(partitions, 12)

    async def on_revoked(self, partitions: set[Partition]) -> None: ...


async def test_a_cursor_that_went_on_while_the_log_was_measured_is_no_broken_log() -> None:
    consumer = Lively(10, 11, 11, 12)
    reader = KafkaReader(consumer, "", ["t"], Owner())
    await reader.on_partitions_assigned({HERE})
    assert await reader.poll(10, 0.0) == []
    assert consumer.sought == [12]


async def test_a_cursor_beyond_a_log_that_stays_short_halts() -> None:
    consumer = Lively(*[10] * 5)
    reader = KafkaReader(consumer, "", ["t"], Owner())
    await reader.on_partitions_assigned({HERE})
    with pytest.raises(Halted, match="truncated or made anew"):
        await reader.poll(10, 0.0)
    assert not consumer.sought


async def test_a_member_without_partitions_has_nothing_to_tell_and_stays() -> None:
    """More replicas than partitions: falling over here would mean a rebalance for everybody, every five seconds."""
    await KafkaReader(Lively(), "", ["t"], Owner()).commit_hint({})


async def test_a_poll_goes_on_in_the_same_partition_up_to_its_limit_and_then_does_not_rest() -> None:
    consumer = Handing([5, 6], [7])
    (batch,) = await KafkaReader(consumer, "", ["t"], Owner()).poll(3, 0.0)
    assert [record.offset for record in batch.records] == [5, 6, 7]
    assert not consumer.rests, "there may be more than it may hand out: that is fetched meanwhile"


async def test_a_reader_that_has_everything_fetches_nothing_until_it_is_asked() -> None:
    consumer = Handing([5, 6], [])
    await KafkaReader(consumer, "", ["t"], Owner()).poll(3, 0.0)
    assert consumer.rests == {HERE}


async def test_a_partition_dealt_anew_between_two_looks_is_read_from_its_place_again() -> None:
    """Else what was read twice would stand in one batch, and the batch be taken for what comes next."""
    with pytest.raises(Retry, match="dealt anew"):
        await KafkaReader(Handing([5, 6], [5, 6, 7]), "", ["t"], Owner()).poll(10, 0.0)
