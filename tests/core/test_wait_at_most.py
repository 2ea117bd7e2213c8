"""Waiting for an append: a loop that is cancelled in the moment of an append still stops."""

import asyncio

import pytest

from shared.bus.outbox import wait_at_most


@pytest.mark.parametrize("steps", range(8))
async def test_a_stop_that_comes_with_news_is_heard(steps: int) -> None:
    news = asyncio.Event()
    waiting = asyncio.create_task(wait_at_most(news, 60))
    await asyncio.sleep(0)
    news.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    asked = waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled() == asked


async def test_without_news_the_wait_ends() -> None:
    await wait_at_most(asyncio.Event(), 0.01)
