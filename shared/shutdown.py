"""Shutdown: the steps that end a process share one deadline; a step that is late is cancelled and logged.

Cancelling is safe: accepted events are in the log, and a transaction that has not committed has not happened.
"""

import asyncio
from collections.abc import Awaitable

import structlog

_log = structlog.get_logger(__name__)
BUDGET = 10.0
"""Seconds: a third of what orchestrators wait before they kill."""
WORK, LEASES, LOG, DATABASE = 0.65, 0.75, 0.85, 0.9
"""By when in the budget each step must be done: requests and loops, then leases, then the log, then the pools. The rest is
for the interpreter.
"""
_NOTICE = 0.2


class Shutdown:
    """One shutdown. Its deadline starts with its first step, or with `begin()`."""

    def __init__(self, budget: float = BUDGET) -> None:
        self._budget = budget
        self._started_at: float | None = None

    def begin(self) -> None:
        """Start the deadline."""
        if self._started_at is None:
            self._started_at = asyncio.get_running_loop().time()

    async def step(self, name: str, work: Awaitable[object], by: float) -> None:
        """Wait for a step until its share of the budget is over, then cancel it. Its failure stops no other step."""
        task = asyncio.ensure_future(work)
        await asyncio.wait({task}, timeout=self._left(by))
        if not task.done():
            _log.warning("given_up", step=name, after=self._elapsed())
            task.cancel()
            await asyncio.wait({task}, timeout=_NOTICE)
        elif not task.cancelled() and task.exception() is not None:
            _log.warning("failed_while_stopping", step=name, error=repr(task.exception()))

    def _left(self, by: float) -> float:
        return max(0.0, self._budget * by - self._elapsed())

    def _elapsed(self) -> float:
        self.begin()
        return asyncio.get_running_loop().time() - (self._started_at or 0.0)
