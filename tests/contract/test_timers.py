"""Timers: they run ahead of the messages only where the log itself says that there are none."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from shared.contracts.topics import USAGE_RAW
from shared.db.protocol import Read, Tx
from shared.service.timers import Timers
from tests.conftest import embedded
from tests.contract.effects import Effects, consumer, count, prepare
from tests.contract.memory_log import MemoryBus
from tests.make import FakeClock, eventually, migrated_storage


class Due:
    """One account that time has something to do for, until it is done."""

    def __init__(self) -> None:
        self.handled_until: dict[int, datetime] = {}
        self.moved: list[str] = []
        self.asked_until: list[datetime] = []

    async def due(self, _read: Read, _part: int, until: datetime, _limit: int) -> Sequence[str]:
        self.asked_until.append(until)
        return [] if self.moved else ["acme"]

    async def advance_time(self, _tx: Tx, ids: Sequence[str], _until: datetime) -> int:
        self.moved += ids
        return len(ids)


async def test_a_log_that_hands_out_nothing_is_not_taken_for_silence(tmp_path: Path) -> None:
    """A reader finds nothing, too, while its broker is away: the rest of the events waits there."""
    bus, due = MemoryBus(range(10), silent=5), Due()
    async with migrated_storage(embedded(tmp_path)) as opened:
        await prepare(opened)
        one = consumer(opened, Effects(), bus=bus)
        timers = Timers(one, USAGE_RAW, due.due, due, opened.database, FakeClock())
        reading = asyncio.create_task(one.run())
        try:

            async def looked_in_vain() -> bool:
                return one.idle and await count(opened) == 5

            await eventually(looked_in_vain)
            assert await timers.fire() == 0
            bus.silent = None

            async def fired() -> bool:
                return await timers.fire() == 1

            await eventually(fired)
            assert await count(opened) == 10
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    assert due.moved == ["acme"]


async def test_messages_that_were_stamped_ahead_let_no_timer_run_ahead_of_now(tmp_path: Path) -> None:
    """A consumer that is behind goes by the messages it has handled, but a server's clock may have been ahead."""
    bus, due, clock = MemoryBus(range(10)), Due(), FakeClock()
    async with migrated_storage(embedded(tmp_path)) as opened:
        await prepare(opened)
        one = consumer(opened, Effects(), bus=bus)
        timers = Timers(one, USAGE_RAW, due.due, due, opened.database, clock)
        reading = asyncio.create_task(one.run())
        try:

            async def all_handled() -> bool:
                return one.idle and await count(opened) == 10

            await eventually(all_handled)
            numbers = {partition.number for partition in one.ownership.claims()}
            for off, until in ((30, clock.now()), (-1, clock.now() - timedelta(days=1))):
                due.handled_until = dict.fromkeys(numbers, clock.now() + timedelta(days=off))
                due.asked_until.clear()
                one.idle = False
                await timers.fire()
                assert set(due.asked_until) == {until}
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
