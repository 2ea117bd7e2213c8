"""Dead-letter limit: failures of our own code or contract halt a consumer, invalid records of others never do."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.protocol import ProducerRecord
from shared.contracts.topics import USAGE, USAGE_RAW
from shared.db.protocol import Tx
from shared.failures import Halted
from shared.service.consumer import Consumer, PollSettings
from shared.service.dead_letters import DeadLetterLimit, DeadLetterLimitExceeded
from shared.service.processor import MessageBatch
from shared.storage import Storage
from tests.conftest import Deployment
from tests.contract.effects import Effects, consumer, count, dead_letters, effects, prepare, run_until_it_fails, until
from tests.make import FakeClock, migrated_storage, usage_event


@pytest.fixture
async def opened(deployment: Deployment) -> AsyncIterator[Storage]:
    async with migrated_storage(deployment.settings) as opened_store:
        await prepare(opened_store)
        yield opened_store


def event(number: int) -> bytes:
    return msgspec.json.encode(usage_event(str(number)))


async def insert(tx: Tx, batch: MessageBatch) -> None:
    await tx.insert(effects, [{"id": int(message.id), "word": message.name} for message in batch.messages])


def by_contract(opened: Storage) -> Consumer:
    return Consumer("g", [USAGE], insert, opened.bus, opened.database, FakeClock(), "one", PollSettings(700))


async def test_a_contract_that_we_cannot_read_any_more_stops_the_reader(opened: Storage) -> None:
    fine, bad = [ProducerRecord(b"k", event(n)) for n in range(30)], [ProducerRecord(b"k", b'{"new":"shape"}')] * 200
    await opened.bus.publish(USAGE.name, fine + bad)
    with pytest.raises(Halted, match=r"failed \(50 in a row.*the last at 79 with: .*missing required field"):
        await run_until_it_fails(by_contract(opened))
    assert await count(opened) == 30, "what stood before is taken"
    assert len(await dead_letters(opened)) == 49
    with pytest.raises(Halted, match="the last at 128 with"):
        await run_until_it_fails(by_contract(opened))
    assert len(await dead_letters(opened)) == 98, "restarted as it is, it parks some more and stops again"


async def test_more_than_five_in_a_hundred_stop_the_reader_though_never_two_in_a_row(opened: Storage) -> None:
    records = [ProducerRecord(b"k", event(n) if n % 10 else b"{}") for n in range(1200)]
    await opened.bus.publish(USAGE.name, records)
    with pytest.raises(Halted, match="the last at 500 with"):
        await run_until_it_fails(by_contract(opened))
    assert await count(opened) == 450


async def test_what_others_send_badly_never_stops_the_reader(opened: Storage) -> None:
    bad = [ProducerRecord(b"k", b"nonsense")] * 500
    await opened.bus.publish(USAGE_RAW.name, [*bad, ProducerRecord(b"k", b"w-1")])
    await until(opened, 1, consumer(opened, Effects(), limit=400))
    assert len(await dead_letters(opened)) == 500


async def test_a_handler_that_fails_on_everything_stops_the_reader_and_says_why(opened: Storage) -> None:
    await opened.bus.publish(USAGE_RAW.name, [ProducerRecord(b"k", f"w-{n}".encode()) for n in range(200)])
    effect = Effects()
    effect.poison = {f"w-{n}" for n in range(200)}
    with pytest.raises(Halted, match=r"the last at 49 with: ValueError\('poison'\)\. Deploy a version"):
        await run_until_it_fails(consumer(opened, effect))
    assert len(await dead_letters(opened)) == 49


def test_forty_nine_in_a_row_may_fail_and_fifty_may_not() -> None:
    limit = DeadLetterLimit().plus(range(100, 149))
    with pytest.raises(DeadLetterLimitExceeded):
        limit.plus([149])


def test_one_that_succeeds_between_begins_the_row_anew() -> None:
    DeadLetterLimit().plus([*range(100, 149), 150])


def test_fifty_of_the_last_thousand_may_fail_and_fifty_one_may_not() -> None:
    limit = DeadLetterLimit().plus(range(0, 1000, 20))
    with pytest.raises(DeadLetterLimitExceeded):
        limit.plus([999])
    limit.plus([1000])


def test_five_in_a_hundred_may_fail_for_ever() -> None:
    limit = DeadLetterLimit()
    for offset in range(0, 100_000, 20):
        limit = limit.plus([offset])


@given(st.sets(st.integers(0, 3000), max_size=200))
def test_how_they_are_cut_into_batches_and_how_often_they_are_tried_makes_no_difference(offsets: set[int]) -> None:
    def outcome(*batches: list[int]) -> DeadLetterLimit | None:
        limit = DeadLetterLimit()
        try:
            for batch in batches:
                limit = limit.plus(batch)
        except DeadLetterLimitExceeded:
            return None
        return limit

    every = sorted(offsets)
    half = len(every) // 2
    assert outcome(every) == outcome(every[:half], every[half:]) == outcome(every[:half], every[:half], every)
