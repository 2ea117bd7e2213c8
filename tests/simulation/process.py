"""Process: the tasks it started; it can be killed or frozen at any await, and then touches nothing any more."""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

from shared.bus.outbox import LogOutbox
from tests.simulation.chance import Chance
from tests.simulation.trace import Trace

_LAG = 0.004
_SLOW = 1.5
current: ContextVar["Process | None"] = ContextVar("current", default=None)
"""Whose task is running."""


class Killed(BaseException):
    """What a dead process gets for whatever it tries: no `except Exception` of the product can do anything about it."""


class Process:
    """One life of a process. A restart is another one with the same name."""

    def __init__(self, name: str, service: str, chance: Chance, trace: Trace) -> None:
        self.name = name
        self.service = service
        self.alive = True
        self.log: LogOutbox | None = None
        self._chance = chance
        self._trace = trace
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._running = asyncio.Event()
        self._running.set()

    @property
    def frozen(self) -> bool:
        return not self._running.is_set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start a task of this process."""
        context = copy_context()
        context.run(current.set, self)
        return asyncio.get_running_loop().create_task(work, name=f"{self.name} {name}", context=context)

    def owns(self, task: asyncio.Task[Any]) -> None:
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        return list(self._tasks)

    async def gate(self) -> None:
        """Before anything that touches the workload: are we alive, and not frozen?"""
        while self.alive and self.frozen:
            await self._running.wait()
        if not self.alive:
            raise Killed

    async def lag(self, most: float = _LAG) -> None:
        """A message on its way."""
        await self.gate()
        await asyncio.sleep(self._chance.up_to(_SLOW if self._chance.hits("slow", self.name) else most))
        await self.gate()

    def freeze(self) -> None:
        self._running.clear()

    def thaw(self) -> None:
        self._running.set()

    def kill(self) -> None:
        """Kill -9."""
        if self.alive:
            self._trace.say("killed", self.name)
            self.alive = False
            self._running.set()
            self.stop()

    def stop(self) -> None:
        """Ask it to stop, as a signal does."""
        for task in self.tasks:
            task.cancel()


def owned(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **given: Any) -> asyncio.Task[Any]:
    """The loop's task factory: every task belongs to the process that started it."""
    task = asyncio.Task(work, loop=loop, **given)
    context = given.get("context")
    process = context.get(current) if context is not None else current.get()
    if process is not None:
        process.owns(task)
    return task
