"""Consumer: every record has its effect once, whatever fails in between, on both deployments."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from shared.bus.outbox import wait_at_most
from shared.bus.protocol import ProducerRecord
from shared.bus.tables import dead_letter
from shared.contracts.topics import USAGE_RAW
from shared.db.protocol import Tx
from shared.failures import Halted, Retry
from shared.service.consumer import Consumer, PollSettings
from shared.service.ownership import last_move
from shared.service.processor import MessageBatch
from shared.service.time_slice import OutOfTime
from shared.storage import Storage
from tests.conftest import Deployment, scaled
from tests.contract.effects import Effects, consumer, ids, prepare, publish, read, run_until_it_fails, until
from tests.make import NOON, FakeClock, migrated_storage


@pytest.fixture
async def opened(deployment: Deployment) -> AsyncIterator[Storage]:
    async with migrated_storage(deployment.settings) as opened_store:
        await prepare(opened_store)
        yield opened_store


async def test_each_record_has_its_effect_once(opened: Storage) -> None:
    await publish(opened, 0, 300)
    await until(opened, 300, consumer(opened, Effects()))
    assert await ids(opened) == list(range(300))


async def test_no_cursor_is_dated_before_the_clock_was_held_against_its_witnesses(opened: Storage) -> None:
    """A cursor tells when somebody worked: one with the date of a clock that is ahead would say that this clock is right."""
    month = timedelta(days=30)
    clock = FakeClock(NOON + month)

    async def ask() -> None:
        clock.move(-month)

    parts = (opened.bus, opened.database, clock, "one")
    await publish(opened, 0, 1)
    await until(opened, 1, Consumer("g", [USAGE_RAW], Effects().handle, *parts, decode=read, ask_time=ask))
    assert await last_move(opened.database) == NOON


async def test_a_stopped_reader_goes_on_where_it_committed(opened: Storage) -> None:
    await publish(opened, 0, 100)
    await until(opened, 100, consumer(opened, Effects()))
    await publish(opened, 100, 150)
    await until(opened, 150, consumer(opened, Effects(), "two"))
    assert await ids(opened) == list(range(150))


async def test_a_batch_whose_transaction_failed_comes_again(opened: Storage) -> None:
    effect = Effects()
    effect.fail_once = Retry("the world")
    await publish(opened, 0, 40)
    with pytest.raises(Retry):
        await run_until_it_fails(consumer(opened, effect))
    await until(opened, 40, consumer(opened, effect))
    assert await ids(opened) == list(range(40))


@pytest.mark.servers
async def test_partitions_are_taken_side_by_side(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """While one waits for its commit another is folded: each has a transaction of its own."""
    inside: set[int] = set()
    together = asyncio.Event()

    class Meeting(Effects):
        async def handle(self, tx: Tx, batch: MessageBatch) -> None:
            inside.add(batch.partition)
            if len(inside) > 1:
                together.set()
            await wait_at_most(together, 3)  # a look may have found one partition only: then there is nobody to meet
            await super().handle(tx, batch)
            inside.discard(batch.partition)

    async with migrated_storage(scaled(request, tmp_path)) as opened:
        await prepare(opened)
        await publish(opened, 0, 200)
        await until(opened, 200, consumer(opened, Meeting(), limit=1000))
        assert await ids(opened) == list(range(200))
    assert together.is_set()


async def test_a_batch_that_takes_longer_than_its_time_slice_is_taken_in_pieces(opened: Storage) -> None:
    sizes = list[int]()

    class Slow(Effects):
        async def handle(self, tx: Tx, batch: MessageBatch) -> None:
            for place in range(len(batch.messages)):
                if place and batch.time_slice.is_over:
                    raise OutOfTime(place // 2)
                await asyncio.sleep(0.01)
            await super().handle(tx, batch)
            sizes.append(len(batch.messages))

    slow = Slow()
    slow.poison = {"w-17"}
    await publish(opened, 0, 60)
    await until(opened, 59, consumer(opened, slow, limit=1000, slice_seconds=0.02))
    assert await ids(opened) == [n for n in range(60) if n != 17]
    assert len(sizes) > 1


async def test_a_poisoned_record_is_parked_and_its_neighbours_are_not(opened: Storage) -> None:
    effect = Effects()
    effect.poison = {"w-17"}
    await publish(opened, 0, 60)
    await until(opened, 59, consumer(opened, effect))
    assert await ids(opened) == [n for n in range(60) if n != 17]
    async with opened.database.snapshot() as view:
        rows = await view.all(select(dead_letter))
    assert [(row.value, row.reason) for row in rows] == [(b"w-17", "handler_failed")]


async def test_a_handler_that_misses_a_file_parks_the_record_and_names_the_file(
    opened: Storage, tmp_path: Path
) -> None:
    class Template(Effects):
        async def handle(self, tx: Tx, batch: MessageBatch) -> None:
            await super().handle(tx, batch)
            if "w-3" in batch.messages:
                (tmp_path / "template.txt").read_bytes()

    await publish(opened, 0, 60)
    await until(opened, 59, consumer(opened, Template()))
    async with opened.database.snapshot() as view:
        [row] = await view.all(select(dead_letter))
    assert (row.value, row.reason) == (b"w-3", "handler_failed")
    assert str(tmp_path / "template.txt") in row.detail


async def test_an_unreadable_record_is_parked_with_its_reason(opened: Storage) -> None:
    await opened.bus.publish(USAGE_RAW.name, [ProducerRecord(b"k", b"nonsense"), ProducerRecord(b"k", b"w-1")])
    await until(opened, 1, consumer(opened, Effects()))
    async with opened.database.snapshot() as view:
        rows = await view.all(select(dead_letter))
    assert [(row.reason, row.detail) for row in rows] == [("nonsense", "cannot read this")]


async def test_when_everything_fails_the_reader_stops_instead_of_parking_the_topic(opened: Storage) -> None:
    effect = Effects()
    effect.poison = {f"w-{n}" for n in range(200)}
    await opened.bus.publish(USAGE_RAW.name, [ProducerRecord(b"k", f"w-{n}".encode()) for n in range(200)])
    with pytest.raises(Halted, match="50 in a row"):
        await run_until_it_fails(consumer(opened, effect))
    async with opened.database.snapshot() as view:
        assert int(await view.scalar(select(func.count()).select_from(dead_letter))) < 50


async def test_an_owner_whose_epoch_is_old_changes_nothing(opened: Storage) -> None:
    """Two members believe they own the same partition: only the one that claimed last may write."""
    await publish(opened, 0, 10)
    old, new = consumer(opened, Effects(), "old"), consumer(opened, Effects(), "new")
    bounds = await opened.bus.bounds([USAGE_RAW.name])
    await old.ownership.on_assigned(bounds)
    await new.ownership.on_assigned(bounds)
    for partition, claim in old.ownership.claims().items():
        with pytest.raises(Exception, match=r"^$") as fenced:
            async with old.ownership.transaction(partition):
                pytest.fail("a fenced owner got a turn")
        assert type(fenced.value).__name__ == "Fenced"
        assert await old.ownership.refresh(partition) is None
        assert claim.epoch < new.ownership.claims()[partition].epoch


async def test_a_log_that_lost_its_end_halts_instead_of_skipping(opened: Storage) -> None:
    await publish(opened, 0, 10)
    bounds = await opened.bus.bounds([USAGE_RAW.name])
    one = consumer(opened, Effects())
    await until(opened, 10, one)
    shorter = {tp: bound._replace(begin=0, end=0) for tp, bound in bounds.items() if bound.end}
    with pytest.raises(Halted, match="truncated or made anew"):
        await consumer(opened, Effects()).ownership.on_assigned(shorter)


async def test_a_parked_record_is_taken_up_once_when_what_failed_was_mended(opened: Storage) -> None:
    effect = Effects()
    effect.poison = {"w-3"}
    await publish(opened, 0, 10)
    one = consumer(opened, effect)
    await until(opened, 9, one)
    async with opened.database.snapshot() as view:
        waiting = [row.id for row in await view.all(select(dead_letter.c.id))]
    assert await one.redrive(waiting) == 0, "it fails as before"
    effect.poison = set()
    assert await one.redrive(waiting) == 1
    assert await one.redrive(waiting) == 0
    assert await ids(opened) == list(range(10))
    stranger = Consumer(
        "other", [USAGE_RAW], effect.handle, opened.bus, opened.database, FakeClock(), "one", PollSettings(50), read
    )
    assert await stranger.redrive(waiting) == 0, "another group's records are not its own"
