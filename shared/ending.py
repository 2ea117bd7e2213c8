"""How does a process end in time? Every step of the way down shares one deadline; what is not done by then is given up, and said.

Giving up is safe: what was accepted stands in the log, and what was begun in no transaction has not happened.
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


class Ending:
    """One way down. It begins with its first step, or when told."""

    def __init__(self, budget: float = BUDGET) -> None:
        self._budget = budget
        self._begun: float | None = None

    def begin(self) -> None:
        """From now on the time runs."""
        if self._begun is None:
            self._begun = asyncio.get_running_loop().time()

    async def step(self, name: str, work: Awaitable[object], by: float) -> None:
        """Wait for it, at most until its share of the budget is over; then cut it off. Its failure stops nothing."""
        task = asyncio.ensure_future(work)
        await asyncio.wait({task}, timeout=self._left(by))
        if not task.done():
            _log.warning("given_up", step=name, after=self._spent())
            task.cancel()
            await asyncio.wait({task}, timeout=_NOTICE)
        elif not task.cancelled() and task.exception() is not None:
            _log.warning("failed_while_stopping", step=name, error=repr(task.exception()))

    def _left(self, by: float) -> float:
        return max(0.0, self._budget * by - self._spent())

    def _spent(self) -> float:
        self.begin()
        return asyncio.get_running_loop().time() - (self._begun or 0.0)
