"""Progress of lifecycle by its own metric, seen from outside; the clock starts when a tenth is done."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx2

from bench.cpu import Spent, each
from bench.errors import InvalidResult

_STEP = 0.05
_NAME = 'waymark_handled_total{group="lifecycle"}'
_TOTAL = "cpu us/event all"


class Mark(NamedTuple):
    """A moment: when (monotonic clock), how many events were handled by then, what had been spent."""

    at: float
    handled: int
    spent: Spent


def between(first: Mark, last: Mark) -> dict[str, float]:
    """The figures of what lies between."""
    events = last.handled - first.handled
    if events <= 0 or last.at <= first.at:
        raise InvalidResult("everything was handled before the second look: too few events for a rate")
    cost = each(first.spent, last.spent, events)
    return {"events/s": events / (last.at - first.at), **cost, _TOTAL: sum(cost.values())}


class Watch:
    """Looks at one process's metrics."""

    def __init__(self, http: httpx2.AsyncClient, spent: Callable[[], Spent]) -> None:
        self._http = http
        self._spent = spent

    async def handled(self) -> int:
        """So many events so far; -1 while nobody answers."""
        try:
            metrics = (await self._http.get("/lifecycle/metrics")).text
        except httpx2.TransportError:
            return -1
        lines = [line for line in metrics.splitlines() if line.startswith(_NAME)]
        return int(float(lines[0].split()[1])) if lines else -1

    async def mark(self) -> Mark:
        """Now."""
        return Mark(asyncio.get_running_loop().time(), await self.handled(), self._spent())

    async def until(self, count: int, seconds: float) -> Mark:
        """The moment at which that many had been handled. Raises InvalidResult when they never are."""
        loop, found = asyncio.get_running_loop(), -1
        deadline = loop.time() + seconds
        while loop.time() < deadline:
            found = await self.handled()
            if found >= count:
                return Mark(loop.time(), found, self._spent())
            await asyncio.sleep(_STEP)
        raise InvalidResult(f"lifecycle handled {found} of {count} events within {seconds:.0f} s")


@asynccontextmanager
async def watch(port: int, spent: Callable[[], Spent]) -> AsyncIterator[Watch]:
    """A look at the process on this port."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        yield Watch(http, spent)
