"""Virtual time passes without waiting, and always in the same way."""

import asyncio
import time

import pytest

from tests.simulation.chance import Chance
from tests.simulation.loop import Deadlock, VirtualLoop
from tests.simulation.process import Killed, Process, owned
from tests.simulation.trace import Trace


def _process(loop: VirtualLoop) -> Process:
    loop.set_task_factory(owned)
    trace = Trace(loop.time)
    return Process("one", "ingest", Chance(1, trace), trace)


def test_a_day_passes_at_once() -> None:
    loop, began = VirtualLoop(), time.monotonic()
    loop.run_until_complete(asyncio.sleep(86_400))
    assert loop.time() >= 86_400
    assert time.monotonic() - began < 3_600  # whatever the box: not the day itself
    loop.close()


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append(seconds)

    async def all_of_them() -> None:
        await asyncio.gather(*(sleeper(seconds) for seconds in (3, 1, 2, 1.5)))

    loop = VirtualLoop()
    loop.run_until_complete(all_of_them())
    loop.close()
    assert woken == [1, 1.5, 2, 3]


def test_what_an_executor_does_is_done_at_once() -> None:
    loop = VirtualLoop()
    assert loop.run_until_complete(loop.run_in_executor(None, lambda: 42)) == 42
    with pytest.raises(ZeroDivisionError):
        loop.run_until_complete(loop.run_in_executor(None, lambda: 1 / 0))
    loop.close()


def test_when_everybody_waits_it_says_who() -> None:
    async def waits_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    loop = VirtualLoop()
    with pytest.raises(Deadlock, match=r"test_simulated_time\.py"):
        loop.run_until_complete(waits_for_ever())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_the_dead_touch_nothing_whatever_they_catch() -> None:
    touched: list[str] = []
    loop = VirtualLoop()
    process = _process(loop)

    async def stubborn() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            try:
                await process.gate()
            except Exception:  # noqa: BLE001  what the product might do
                touched.append("after an exception")
            finally:
                touched.append("finally")
            touched.append("afterwards")

    async def murder() -> None:
        task = process.spawn(stubborn(), "stubborn")
        await asyncio.sleep(1)
        process.kill()
        with pytest.raises(Killed):
            await task

    loop.run_until_complete(murder())
    loop.close()
    assert touched == ["finally"]


def test_the_frozen_go_on_where_they_were() -> None:
    loop = VirtualLoop()
    process, passed = _process(loop), list[float]()

    async def passes() -> None:
        await process.gate()
        passed.append(loop.time())

    async def winter() -> None:
        process.freeze()
        task = process.spawn(passes(), "passes")
        await asyncio.sleep(100)
        process.thaw()
        await task

    loop.run_until_complete(winter())
    loop.close()
    assert passed == [100]
