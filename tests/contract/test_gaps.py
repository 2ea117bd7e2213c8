"""Is a record ever skipped? Not by a reader that stands in the wrong place, nor by a claim of yesterday."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from deploy.servers import Kafka
from shared.bus.protocol import Batch, Bounds, Partition
from shared.contracts.topics import USAGE_RAW
from shared.failures import Halted, Retry
from shared.service.cursor import UNKNOWN, Claim
from shared.service.footing import Footing
from shared.storage import Storage
from tests.conftest import embedded, scaled
from tests.contract.effects import Effects, ids, passage, prepare, publish, run_until_it_fails, until
from tests.contract.memory_log import ONLY, MemoryBus
from tests.make import settle, store


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Storage]:
    async with store(embedded(tmp_path)) as opened_store:
        await prepare(opened_store)
        yield opened_store


async def test_a_reader_in_the_wrong_place_is_put_right_and_nothing_is_skipped(opened: Storage) -> None:
    bus = MemoryBus(range(100), wrong=60)
    await until(opened, 100, passage(opened, Effects(), bus=bus))
    assert await ids(opened) == list(range(100))
    assert bus.sought == [0]


async def test_a_gap_that_the_log_really_has_is_passed(opened: Storage) -> None:
    bus = MemoryBus([*range(10), *range(20, 30)])
    await until(opened, 20, passage(opened, Effects(), limit=10, bus=bus))
    assert await ids(opened) == [*range(10), *range(20, 30)]
    assert bus.sought == [9], "believed only when it came again from the right place"


async def test_a_gap_where_the_log_has_lost_records_halts(opened: Storage) -> None:
    with pytest.raises(Halted, match="truncated or made anew"):
        await run_until_it_fails(passage(opened, Effects(), bus=MemoryBus(range(60), loses=40)))
    assert await ids(opened) == []


def test_what_came_in_another_claim_proves_no_gap() -> None:
    """A reader that stands in the same wrong place after every assignment is put right after every assignment."""
    footing, [batch] = Footing(), [Batch(ONLY, MemoryBus(range(60, 70)).records)]
    assert footing.step(batch, Claim(1, 0, 0)) == "astray"
    assert footing.step(batch, Claim(2, 0, 0)) == "astray"
    assert footing.step(batch, Claim(2, 0, 0)) == "gap"
    assert footing.step(batch, Claim(2, 65, 0)) == "next"


async def test_when_a_run_ends_its_claims_end_with_it(opened: Storage) -> None:
    effect = Effects()
    effect.fail_once = Retry("the world")
    one = passage(opened, effect, bus=MemoryBus(range(10)))
    with pytest.raises(Retry):
        await run_until_it_fails(one)
    assert one.claims.held() == {}


async def test_a_new_group_at_a_log_that_lost_its_beginning_takes_the_sequence_it_finds(opened: Storage) -> None:
    claims = passage(opened, Effects()).claims
    await claims.assigned({ONLY: Bounds(5, 10)})
    assert claims.held()[ONLY] == Claim(1, 5, UNKNOWN)


async def test_a_commit_that_ends_after_its_claim_changes_no_newer_claim(opened: Storage) -> None:
    claims = passage(opened, Effects()).claims
    bounds = {ONLY: Bounds(0, 10)}
    await claims.assigned(bounds)
    old = claims.held()[ONLY]
    await claims.revoked({ONLY})
    await claims.assigned(bounds)
    claims.moved(ONLY, old._replace(next_off=5))
    assert claims.held()[ONLY] == Claim(old.epoch + 1, 0, 0)


@pytest.mark.servers
async def test_markers_of_a_transactional_producer_are_no_loss(
    request: pytest.FixtureRequest, tmp_path: Path, kafka: Kafka
) -> None:
    settings = scaled(request, tmp_path)
    async with store(settings) as opened_store:
        await prepare(opened_store)
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=settings.topic_prefix)
        await producer.start()
        for first in range(0, 30, 10):
            async with producer.transaction():
                for n in range(first, first + 10):
                    await producer.send(settings.topic_prefix + USAGE_RAW.name, f"w-{n}".encode(), partition=0)
        await producer.stop()
        await until(opened_store, 30, passage(opened_store, Effects(), limit=10))
        assert await ids(opened_store) == list(range(30))
        await at_the_end(opened_store)


async def at_the_end(opened: Storage) -> None:
    """The last thing in the log is a marker, which no poll hands out: the reader passes it all the same."""
    here = Partition(USAGE_RAW.name, 0)
    end = (await opened.bus.bounds([USAGE_RAW.name]))[here].end
    claims = passage(opened, Effects()).claims

    async def passed() -> bool:
        await reader.poll(50, 0.2)
        return await reader.position(here) == end

    async with opened.bus.reader("g", [USAGE_RAW.name], claims) as reader:
        await settle(passed)
    assert claims.held()[here].next_off < end


@pytest.mark.servers
async def test_a_place_that_kafka_no_longer_has_is_told_and_not_replaced_by_another(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with store(scaled(request, tmp_path)) as opened_store:
        await publish(opened_store, 0, 20)
        claims = passage(opened_store, Effects()).claims

        async def ours() -> bool:
            await reader.poll(50, 0.2)
            return bool(claims.held())

        async def for_ever() -> bool:
            await reader.poll(50, 0.2)
            return False

        async with opened_store.bus.reader("g", [USAGE_RAW.name], claims) as reader:
            await settle(ours)
            for partition in claims.held():
                reader.seek(partition, 10_000)
            with pytest.raises(Retry, match="no longer holds"):
                await settle(for_ever)
