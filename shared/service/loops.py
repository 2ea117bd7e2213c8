"""Who keeps the work going? Every loop is restarted when the world fails it, and its state is known to /readyz."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import structlog

from shared.failures import Halted
from shared.shutdown import WORK, Shutdown

_log = structlog.get_logger(__name__)
_FIRST, _LONGEST = 0.5, 30.0
State = Literal["running", "failing", "halted"]


class Loop:
    """Work that never ends. `problem` says what the last failure was, empty when there is none."""

    def __init__(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self.state: State = "running"
        self.problem = ""
        self._work = work

    async def keep(self) -> None:
        """Run it; after a failure wait, twice as long each time unless it ran for longer than that, and run it again.

        Halted stops it for good.
        """
        pause = _FIRST
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._work()
            except Halted as error:
                self.state, self.problem = "halted", str(error)
                _log.critical("halted", loop=self.name, why=str(error))
                return
            except Exception as error:  # noqa: BLE001  whatever it was, the loop must come back
                self.state, self.problem = "failing", repr(error)
                pause = _FIRST if asyncio.get_running_loop().time() - started > pause else pause
                _log.warning("loop_failed", loop=self.name, error=repr(error), again_in=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST)
            self.state = "running"


class Keeping:
    """Loops being kept, until they are told to rest."""

    def __init__(self, loops: Sequence[Loop], shutdown: Shutdown) -> None:
        self._tasks = [asyncio.create_task(loop.keep(), name=loop.name) for loop in loops]
        self._shutdown = shutdown

    async def rest(self) -> None:
        """Ask every loop to stop: a batch in hand is dropped, a conversation at its last word is ended, a group is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(self._shutdown.step(task.get_name(), task, WORK) for task in self._tasks))


async def every(seconds: float, work: Callable[[], Awaitable[int]]) -> None:
    """Do it for ever, at once again while there is something to do, else after so many seconds."""
    while True:
        if not await work():
            await asyncio.sleep(seconds)
