"""Log protocol: one suite for the log in the database and for Kafka."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select, update

from deploy.servers.ports import free_port
from shared.bus.kafka import KafkaBus
from shared.bus.producer import partition_of
from shared.bus.protocol import Bounds, Bus, Partition, ProducerRecord, Record
from shared.bus.tables import log_block, log_end
from shared.contracts.topics import LIFECYCLE, USAGE, USAGE_RAW
from shared.contracts.usage import UsageEvent
from shared.failures import Retry
from shared.storage import Storage
from tests.conftest import Deployment, scaled
from tests.make import eventually, migrated_storage, usage_event

TOPIC = USAGE_RAW.name


class StartsAt:
    """An owner that reads from an offset, or from the beginning."""

    def __init__(self, offset: int | None = None) -> None:
        self.offset = offset
        self.has: set[Partition] = set()

    async def on_assigned(self, partitions: dict[Partition, Bounds]) -> dict[Partition, int]:
        self.has |= partitions.keys()
        return {
            tp: bounds.begin if self.offset is None else min(self.offset, bounds.end)
            for tp, bounds in partitions.items()
        }

    async def on_revoked(self, partitions: set[Partition]) -> None:
        self.has -= partitions


@pytest.fixture
async def opened(deployment: Deployment) -> AsyncIterator[Storage]:
    async with migrated_storage(deployment.settings) as opened_store:
        yield opened_store


def numbered(count: int, keys: int = 5) -> list[ProducerRecord]:
    return [ProducerRecord(f"key{n % keys}".encode(), str(n).encode(), b'{"n":1}') for n in range(count)]


async def read(bus: Bus, group: str, count: int, owner: StartsAt | None = None, topic: str = TOPIC) -> list[Record]:
    found: list[Record] = []

    async def enough() -> bool:
        found.extend(record for batch in await reader.poll(500, 0.2) for record in batch.records)
        return len(found) >= count

    async with bus.reader(group, [topic], owner or StartsAt()) as reader:
        await eventually(enough)
    return found


async def test_records_of_a_key_keep_their_order(opened: Storage) -> None:
    await opened.bus.publish(TOPIC, numbered(1000))
    await opened.bus.publish(TOPIC, numbered(10))
    found = await read(opened.bus, "a", 1010)
    of_key = [int(record.value) for record in found if record.key == b"key3"]
    assert of_key == [*range(3, 1000, 5), 3, 8]


async def test_key_value_and_meta_arrive_as_they_were_sent(opened: Storage) -> None:
    sent = [ProducerRecord(b"k", b"\x00\xff{", b"meta"), ProducerRecord(b"", b"no key", b"")]
    await opened.bus.publish(TOPIC, sent)
    found = await read(opened.bus, "a", 2)
    assert {(r.key, r.value, r.meta) for r in found} == set(sent)
    assert all(record.timestamp > 1_500_000_000_000 for record in found)


async def test_a_second_group_sees_everything_again(opened: Storage) -> None:
    await opened.bus.publish(TOPIC, numbered(20))
    first, second = await read(opened.bus, "a", 20), await read(opened.bus, "b", 20)
    assert sorted(record.value for record in first) == sorted(record.value for record in second)


async def test_reading_starts_where_the_owner_says(opened: Storage) -> None:
    await opened.bus.publish(TOPIC, numbered(1500, keys=1))
    found = await read(opened.bus, "a", 200, StartsAt(1300))
    assert [int(record.value) for record in found] == list(range(1300, 1500))


async def test_seeking_back_reads_again(opened: Storage) -> None:
    await opened.bus.publish(TOPIC, numbered(10, keys=1))
    async with opened.bus.reader("a", [TOPIC], StartsAt()) as reader:
        batches = []

        async def some() -> bool:
            batches.extend(await reader.poll(500, 0.2))
            return bool(batches)

        await eventually(some)
        reader.seek(batches[0].partition, 4)
        batches.clear()
        await eventually(some)
    assert [int(record.value) for record in batches[0].records] == [4, 5, 6, 7, 8, 9]


async def test_nothing_is_lost_over_a_restart(deployment: Deployment) -> None:
    async with migrated_storage(deployment.settings) as before:
        await before.bus.publish(TOPIC, numbered(30))
    async with migrated_storage(deployment.settings) as after:
        assert len(await read(after.bus, "a", 30)) == 30


async def test_bounds_tell_begin_and_end_of_every_partition(opened: Storage) -> None:
    await opened.bus.publish(TOPIC, numbered(40))
    bounds = await opened.bus.bounds([TOPIC])
    assert len(bounds) == opened.bus.partitions(TOPIC)
    assert sum(bound.end - bound.begin for bound in bounds.values()) == 40


def event(account: str, number: int) -> UsageEvent:
    return usage_event(f"{account}-{number}", account)


async def test_what_a_transaction_emits_is_read_in_order_with_a_sequence_without_gaps(opened: Storage) -> None:
    for number in range(5):
        async with opened.database.transaction() as tx:
            tx.emit(LIFECYCLE, [event("acme", number * 2), event("acme", number * 2 + 1), event("beta", number)])
    await carry(opened)
    found = await read(opened.bus, "a", 15, topic=LIFECYCLE.name)
    assert ids(found, b"acme") == [f"acme-{number}" for number in range(10)]
    assert ids(found, b"beta") == [f"beta-{number}" for number in range(5)]
    for part in range(opened.bus.partitions(LIFECYCLE.name)):
        seqs = [record.sequence for record in found if part_of(opened, record) == part]
        assert seqs == list(range(len(seqs)))


async def test_what_a_failed_transaction_emitted_is_never_seen(opened: Storage) -> None:
    with pytest.raises(RuntimeError):
        await emit_and_fail(opened)
    async with opened.database.snapshot() as view:
        assert not await view.all(select(log_block.c.topic).where(log_block.c.topic == LIFECYCLE.name))


@pytest.mark.servers
async def test_a_relay_that_repeats_itself_sends_the_same_sequence_again(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with migrated_storage(scaled(request, tmp_path)) as opened_store:
        async with opened_store.database.transaction() as tx:
            tx.emit(LIFECYCLE, [event("acme", number) for number in range(3)])
            tx.emit(USAGE, [event("acme", number) for number in range(3)])
        await carry(opened_store)
        async with opened_store.database.transaction() as tx:
            await tx.run(update(log_end).values(relayed_offset=0))
        await carry(opened_store)
        found = await read(opened_store.bus, "a", 6, topic=USAGE.name)
    assert [record.sequence for record in found] == [0, 1, 2, 0, 1, 2]


async def test_a_log_that_does_not_answer_is_a_retry_not_a_hang() -> None:
    with pytest.raises(Retry, match="no Kafka broker answers"):
        await KafkaBus(f"127.0.0.1:{free_port()}").open([TOPIC], 1)


async def emit_and_fail(opened: Storage) -> None:
    async with opened.database.transaction() as tx:
        tx.emit(LIFECYCLE, [event("acme", 1)])
        raise RuntimeError


async def carry(opened: Storage) -> None:
    if opened.relay is not None:
        await opened.relay.relay_pending()


def part_of(opened: Storage, record: Record) -> int:
    return partition_of(record.key, opened.bus.partitions(LIFECYCLE.name))


def ids(found: list[Record], key: bytes) -> list[str]:
    return [msgspec.json.decode(record.value)["id"] for record in found if record.key == key]
