"""The delay of a loop after a failure, in virtual time."""

import asyncio
from itertools import pairwise

from shared.service.supervisor import SupervisedLoop
from tests.simulation.loop import VirtualLoop


def starts(works_for: float, failures: int) -> list[float]:
    """When a loop starts its work, which fails each time after so many seconds."""
    began: list[float] = []
    loop = VirtualLoop()

    async def work() -> None:
        began.append(loop.time())
        await asyncio.sleep(works_for)
        raise OSError("the world")

    async def keep() -> None:
        kept = asyncio.create_task(SupervisedLoop("work", work).run())
        await asyncio.wait({kept}, timeout=1000)
        kept.cancel()

    loop.run_until_complete(keep())
    loop.close()
    return began[:failures]


def pauses(works_for: float, failures: int) -> list[float]:
    began = starts(works_for, failures)
    return [round(later - before - works_for, 3) for before, later in pairwise(began)]


def test_who_fails_at_once_waits_twice_as_long_each_time() -> None:
    assert pauses(0.0, 9) == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_who_worked_in_between_is_back_at_once() -> None:
    """Mail that fails twice a minute must not come to a standstill of half a minute each time."""
    assert pauses(10.0, 5) == [0.5, 0.5, 0.5, 0.5]
