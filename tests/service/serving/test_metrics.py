"""Probes and metrics of a process whose threads are busy, or whose log and database do not answer."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from anyio import to_thread
from prometheus_client import generate_latest

from shared.clock import SystemClock
from shared.contracts.topics import USAGE
from shared.http.app import service_app
from shared.http.health import Health, install
from shared.service.consumer import Consumer


class Silent:
    """A log and a database that take questions, and answer none."""

    asked = 0

    async def bounds(self, topics: Sequence[str]) -> Any:  # noqa: ARG002
        self.asked += 1
        await asyncio.Event().wait()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield None


async def nothing(*_given: Any) -> None:
    pass


async def test_the_metrics_are_shown_although_neither_log_nor_database_answers() -> None:
    silent: Any = Silent()
    consumer = Consumer("lifecycle", [USAGE], nothing, silent, silent, SystemClock(), "test")
    health = Health(silent, silent, [consumer], [])
    await health.refresh()
    await health.refresh()
    assert b'waymark_handled_total{group="lifecycle"} 0.0' in generate_latest(health.registry)
    assert silent.asked == 1, "a question without an answer is not asked anew"


async def test_a_probe_is_answered_while_every_thread_works() -> None:
    silent: Any = Silent()
    app, work_ends = service_app("any", "any"), threading.Event()
    install(app, Health(silent, silent, [], []))
    threads = int(to_thread.current_default_thread_limiter().total_tokens)
    working = [asyncio.create_task(to_thread.run_sync(work_ends.wait)) for _ in range(threads)]
    try:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://any") as http:
            async with asyncio.timeout(30):
                assert (await http.get("/livez")).status_code == 200
    finally:
        work_ends.set()
        await asyncio.gather(*working)
