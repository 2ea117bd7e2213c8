"""Supervisor: runs a service's loops, restarts one that fails, with back-off, and stops them all on shutdown."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Literal

import structlog

from shared.failures import Halted, described
from shared.shutdown import WORK, Shutdown

_log = structlog.get_logger(__name__)
_MIN_BACKOFF, _MAX_BACKOFF = 0.5, 30.0
State = Literal["running", "failing", "halted"]


class SupervisedLoop:
    """Work that never ends. `problem` is the last failure, empty when there is none; /readyz shows both."""

    def __init__(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self.state: State = "running"
        self.problem = ""
        self._work = work

    async def run(self) -> None:
        """Run it; after a failure wait, twice as long each time unless it ran for longer than that, and restart it.

        Halted stops it for good.
        """
        backoff = _MIN_BACKOFF
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._work()
            except Halted as error:
                self.state, self.problem = "halted", str(error)
                _log.critical("halted", loop=self.name, why=str(error))
                return
            except Exception as error:  # noqa: BLE001  whatever it was, the loop must be restarted
                self.state, self.problem = "failing", described(error)
                backoff = _MIN_BACKOFF if asyncio.get_running_loop().time() - started > backoff else backoff
                _log.warning("loop_failed", loop=self.name, error=repr(error), retry_in=backoff)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _MAX_BACKOFF)
            self.state = "running"


class Supervisor:
    """Runs loops as tasks until it is stopped."""

    def __init__(self, loops: Sequence[SupervisedLoop], shutdown: Shutdown) -> None:
        self._tasks = [asyncio.create_task(loop.run(), name=loop.name) for loop in loops]
        self._shutdown = shutdown

    async def stop(self) -> None:
        """Cancel every loop: a batch in progress rolls back, a send past its point of no return completes, groups are left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(self._shutdown.step(task.get_name(), task, WORK) for task in self._tasks))


async def run_periodically(
    seconds: float, work: Callable[[], Awaitable[int]], wake: asyncio.Event | None = None
) -> None:
    """Do it for ever: at once while there is something to do, else after so many seconds, or when `wake` is set."""
    wake = wake or asyncio.Event()
    while True:
        if not await work():
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await wake.wait()
            wake.clear()
