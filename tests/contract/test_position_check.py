"""Position check: no record is skipped, neither by a misplaced reader nor by an outdated claim."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from deploy.servers import Kafka
from shared.bus.protocol import Bounds, Partition, RecordBatch
from shared.contracts.topics import USAGE_RAW
from shared.failures import Halted, Retry
from shared.service.ownership import ANY_SEQUENCE, Claim, PositionCheck
from shared.storage import Storage
from tests.conftest import embedded, scaled
from tests.contract.effects import Effects, consumer, ids, prepare, publish, run_until_it_fails, until
from tests.contract.memory_log import ONLY, MemoryBus
from tests.make import eventually, migrated_storage


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Storage]:
    async with migrated_storage(embedded(tmp_path)) as opened_store:
        await prepare(opened_store)
        yield opened_store


async def test_a_reader_in_the_wrong_place_is_put_right_and_nothing_is_skipped(opened: Storage) -> None:
    bus = MemoryBus(range(100), wrong=60)
    await until(opened, 100, consumer(opened, Effects(), bus=bus))
    assert await ids(opened) == list(range(100))
    assert bus.sought == [0]


async def test_a_gap_that_the_log_really_has_is_passed(opened: Storage) -> None:
    bus = MemoryBus([*range(10), *range(20, 30)])
    await until(opened, 20, consumer(opened, Effects(), limit=10, bus=bus))
    assert await ids(opened) == [*range(10), *range(20, 30)]
    assert bus.sought == [9], "believed only when it came again from the right place"


async def test_a_gap_where_the_log_has_lost_records_halts(opened: Storage) -> None:
    with pytest.raises(Halted, match="truncated or made anew"):
        await run_until_it_fails(consumer(opened, Effects(), bus=MemoryBus(range(60), loses=40)))
    assert await ids(opened) == []


def test_what_came_in_another_claim_proves_no_gap() -> None:
    """A reader that stands in the same wrong place after every assignment is put right after every assignment."""
    check, [batch] = PositionCheck(), [RecordBatch(ONLY, MemoryBus(range(60, 70)).records)]
    assert check.check(batch, Claim(1, 0, 0)) == "misplaced"
    assert check.check(batch, Claim(2, 0, 0)) == "misplaced"
    assert check.check(batch, Claim(2, 0, 0)) == "gap"
    assert check.check(batch, Claim(2, 65, 0)) == "next"


async def test_when_a_run_ends_its_claims_end_with_it(opened: Storage) -> None:
    effect = Effects()
    effect.fail_once = Retry("the world")
    one = consumer(opened, effect, bus=MemoryBus(range(10)))
    with pytest.raises(Retry):
        await run_until_it_fails(one)
    assert one.ownership.claims() == {}


async def test_a_new_group_at_a_log_that_lost_its_beginning_takes_the_sequence_it_finds(opened: Storage) -> None:
    ownership = consumer(opened, Effects()).ownership
    await ownership.on_assigned({ONLY: Bounds(5, 10)})
    assert ownership.claims()[ONLY] == Claim(1, 5, ANY_SEQUENCE)


async def test_a_commit_that_ends_after_its_claim_changes_no_newer_claim(opened: Storage) -> None:
    ownership = consumer(opened, Effects()).ownership
    bounds = {ONLY: Bounds(0, 10)}
    await ownership.on_assigned(bounds)
    old = ownership.claims()[ONLY]
    await ownership.on_revoked({ONLY})
    await ownership.on_assigned(bounds)
    ownership.advanced(ONLY, old._replace(next_offset=5))
    assert ownership.claims()[ONLY] == Claim(old.epoch + 1, 0, 0)


@pytest.mark.servers
async def test_markers_of_a_transactional_producer_are_no_loss(
    request: pytest.FixtureRequest, tmp_path: Path, kafka: Kafka
) -> None:
    settings = scaled(request, tmp_path)
    async with migrated_storage(settings) as opened_store:
        await prepare(opened_store)
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=settings.topic_prefix)
        await producer.start()
        for first in range(0, 30, 10):
            async with producer.transaction():
                for n in range(first, first + 10):
                    await producer.send(settings.topic_prefix + USAGE_RAW.name, f"w-{n}".encode(), partition=0)
        await producer.stop()
        await until(opened_store, 30, consumer(opened_store, Effects(), limit=10))
        assert await ids(opened_store) == list(range(30))
        await at_the_end(opened_store)


async def at_the_end(opened: Storage) -> None:
    """The last thing in the log is a marker, which no poll hands out: the reader passes it all the same."""
    here = Partition(USAGE_RAW.name, 0)
    end = (await opened.bus.bounds([USAGE_RAW.name]))[here].end
    ownership = consumer(opened, Effects()).ownership

    async def passed() -> bool:
        await reader.poll(50, 0.2)
        return await reader.position(here) == end

    async with opened.bus.reader("g", [USAGE_RAW.name], ownership) as reader:
        await eventually(passed)
    assert ownership.claims()[here].next_offset < end


@pytest.mark.servers
async def test_a_place_that_kafka_no_longer_has_is_told_and_not_replaced_by_another(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with migrated_storage(scaled(request, tmp_path)) as opened_store:
        await publish(opened_store, 0, 20)
        ownership = consumer(opened_store, Effects()).ownership

        async def ours() -> bool:
            await reader.poll(50, 0.2)
            return bool(ownership.claims())

        async def for_ever() -> bool:
            await reader.poll(50, 0.2)
            return False

        async with opened_store.bus.reader("g", [USAGE_RAW.name], ownership) as reader:
            await eventually(ours)
            for partition in ownership.claims():
                reader.seek(partition, 10_000)
            with pytest.raises(Retry, match="no longer holds"):
                await eventually(for_ever)
