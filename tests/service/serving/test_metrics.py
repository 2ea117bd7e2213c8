"""Metrics of a process whose log and database do not answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import generate_latest

from shared.clock import SystemClock
from shared.contracts.topics import USAGE
from shared.http.health import Health
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
    health = Health(silent, silent, [consumer], [], [])
    await health.refresh()
    await health.refresh()
    assert b'waymark_handled_total{group="lifecycle"} 0.0' in generate_latest(health.registry)
    assert silent.asked == 1, "a question without an answer is not asked anew"
