"""Shutdown ends in time, whatever hangs on it."""

import asyncio

import pytest

from shared.shutdown import Shutdown


@pytest.fixture
def hung() -> list[str]:
    return []


async def hang(what: str, into: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        into.append(what)
        raise


async def test_steps_that_hang_share_one_budget_and_are_cut_off(hung: list[str]) -> None:
    shutdown = Shutdown(0.2)
    async with asyncio.timeout(10):
        for number, by in enumerate((0.5, 0.8, 0.9)):
            await shutdown.step(f"step {number}", hang(f"step {number}", hung), by)
    assert hung == ["step 0", "step 1", "step 2"]


async def test_a_step_that_fails_stops_none_of_the_others(hung: list[str]) -> None:
    async def fail() -> None:
        raise OSError("gone")

    async def close() -> None:
        hung.append("closed")

    shutdown = Shutdown()
    await shutdown.step("one", fail(), 0.5)
    await shutdown.step("two", close(), 0.9)
    assert hung == ["closed"]


async def test_who_does_not_listen_is_left_behind() -> None:
    ended = asyncio.Event()

    async def deaf() -> None:
        while not ended.is_set():
            try:
                await ended.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(deaf())
    async with asyncio.timeout(10):
        await Shutdown(0.1).step("deaf", task, 0.5)
    assert not task.done()
    ended.set()
    await task


async def test_what_ended_before_its_time_costs_none() -> None:
    async with asyncio.timeout(5):
        await Shutdown(3600).step("quick", asyncio.sleep(0), 0.5)
