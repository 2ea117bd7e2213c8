"""Stall detector: a reader that returns nothing is replaced only if the log has more."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.db.protocol import Tx
from shared.failures import Halted, Retry
from shared.service.consumer import StallDetector
from shared.service.ownership import Claim
from shared.service.processor import MessageBatch
from shared.storage import Storage
from tests.conftest import ROOT, embedded
from tests.contract.effects import Effects, consumer, ids, prepare, run_until_it_fails, until
from tests.contract.memory_log import ONLY, MemoryBus
from tests.make import eventually, migrated_storage

SHORT = 0.05


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Storage]:
    async with migrated_storage(embedded(tmp_path)) as opened_store:
        await prepare(opened_store)
        yield opened_store


async def test_a_silent_reader_is_replaced_and_the_third_gives_up(opened: Storage) -> None:
    one = consumer(opened, Effects(), bus=MemoryBus(range(20), silent=10), patience=SHORT)
    for _ in range(2):
        with pytest.raises(Retry, match="hands out nothing although there is more"):
            await run_until_it_fails(one)
    with pytest.raises(Halted, match="3rd in a row: restart this process"):
        await run_until_it_fails(one)
    assert await ids(opened) == list(range(10))


async def test_a_reader_that_moves_on_begins_the_count_anew(opened: Storage) -> None:
    bus = MemoryBus(range(20), silent=5)
    one = consumer(opened, Effects(), bus=bus, patience=SHORT)
    for silent in (5, 5, 10, 10, 15, 15):
        bus.silent = silent
        with pytest.raises(Retry):
            await run_until_it_fails(one)
    bus.silent = None
    await until(opened, 20, one)


@pytest.mark.parametrize("markers", [0, 1])
async def test_a_log_with_nothing_more_is_no_silence_even_if_markers_follow(opened: Storage, markers: int) -> None:
    bus = MemoryBus(range(10), markers=markers)
    reading = asyncio.create_task(consumer(opened, Effects(), bus=bus, patience=SHORT).run())

    async def asked_often() -> bool:
        assert not reading.done()
        return bus.asked > 5

    await eventually(asked_often)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


class Slow(Effects):
    """Tells how often its log had been asked for its ends when each batch was handled."""

    def __init__(self, bus: MemoryBus) -> None:
        super().__init__()
        self._bus = bus
        self.asked: list[int] = []

    async def handle(self, tx: Tx, batch: MessageBatch) -> None:
        await super().handle(tx, batch)
        await asyncio.sleep(3 * SHORT)
        self.asked.append(self._bus.asked)


async def test_a_handler_that_takes_its_time_is_no_silence(opened: Storage) -> None:
    bus = MemoryBus(range(50))
    slow = Slow(bus)
    await until(opened, 50, consumer(opened, slow, limit=10, bus=bus, patience=SHORT))
    assert slow.asked == [1] * 5, "on assignment only"


async def test_who_was_fenced_without_being_told_joins_anew(opened: Storage) -> None:
    """A member whose claim came late took the partition from the one that has it: nobody would read it."""
    bus = MemoryBus(range(20), silent=10)
    one, late = consumer(opened, Effects(), bus=bus), consumer(opened, Effects(), "late", bus=bus)
    reading = asyncio.create_task(run_until_it_fails(one))

    async def half() -> bool:
        return len(await ids(opened)) == 10

    await eventually(half)
    await late.ownership.on_assigned(await bus.bounds([]))
    bus.silent = None
    with pytest.raises(Retry, match="another member has claimed"):
        await reading
    await until(opened, 20, one)
    assert await ids(opened) == list(range(20))


HELD = {ONLY: Claim(1, 10, 0)}


def test_what_came_in_this_moment_is_not_yet_silence() -> None:
    detector = StallDetector(30)
    assert detector.observe(0, HELD) == detector.observe(10, HELD) == []
    assert detector.observe(10, HELD) == [ONLY]
    assert detector.stalled([ONLY], {ONLY}) == [], "it may have come just now"
    assert detector.observe(10, HELD) == []
    assert detector.observe(5, HELD) == [ONLY]
    assert detector.stalled([ONLY], {ONLY}) == [ONLY]


def test_what_moved_or_was_claimed_anew_or_given_back_is_not_silent() -> None:
    for now in ({ONLY: Claim(1, 11, 0)}, {ONLY: Claim(2, 10, 0)}, {}):
        detector = StallDetector(30)
        detector.observe(0, HELD)
        detector.stalled(detector.observe(20, HELD), {ONLY})
        assert detector.observe(20, now) == []
        assert detector.progressed is (now == {ONLY: Claim(1, 11, 0)})


ENDING = """
import asyncio, uvicorn
from shared.service.supervisor import SupervisedLoop

async def stuck():
    raise SystemExit("g: stuck")

async def main():
    try:
        await asyncio.gather(SupervisedLoop("g", stuck).run(), asyncio.sleep(60))
    finally:
        print("closed in order")

with asyncio.Runner(loop_factory=uvicorn.Config("").get_loop_factory()) as runner:
    runner.run(main())
"""


def test_giving_up_ends_the_process_in_order_with_exit_code_1() -> None:
    done = subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, "-c", ENDING], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "closed in order" in done.stdout
    assert "g: stuck" in done.stderr
