"""An account that is decades behind gives the other tasks of the process their turn meanwhile."""

import asyncio
from datetime import timedelta
from pathlib import Path

from services.lifecycle.core.fold import fold
from services.lifecycle.core.state import begin
from services.lifecycle.handlers import Handlers
from shared.clock import SystemClock
from tests.core.lifecycle.make import DECIDED, START, definition_from, event


async def test_a_gap_that_cannot_be_jumped_yields(tmp_path: Path) -> None:
    compiled = definition_from(
        tmp_path,
        "events: {use: {match: [used]}}\n"
        "metrics: {weeks: {kind: formula, cel: 'tenure_days / 7'}}\nmilestones: {}\nstages: {one: {}}\nedges: []\n"
        "signals: {whole: {when: ['weeks >= 100000'], reason: r}}\n",
    )
    handlers, account, turns = Handlers(compiled, lambda _: 0, SystemClock()), begin("acme", START), 0
    fold(account, event("used", START), compiled, DECIDED)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await handlers._advance(account, START + timedelta(days=5000), DECIDED)  # noqa: SLF001
    task.cancel()
    assert account.clock == START + timedelta(days=5000)
    assert turns >= 40
