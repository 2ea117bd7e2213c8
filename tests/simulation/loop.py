"""Virtual loop: an event loop whose clock jumps to the next timer; nothing ever waits."""

import asyncio
from collections.abc import Callable
from typing import Any

_NEVER = "nothing is ready and nobody has a timer; waiting: "


class Deadlock(Exception):  # noqa: N818  what it is
    """Everybody waits for somebody: the message says who."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Deterministic: no sockets, no threads, no wall clock. What an executor would do is done at once."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._clock_resolution = 1e-9
        self._selector = self

    def time(self) -> float:
        return self._now

    def work(self, seconds: float) -> None:
        """Somebody computes, and everybody waits."""
        self._now += seconds

    def select(self, timeout: float | None) -> list[Any]:
        """What the base loop asks for when it has nothing to do: let time pass. It hands over the seconds to its next timer."""
        if timeout is None:
            raise Deadlock(_NEVER + "; ".join(sorted(map(_waiting, asyncio.all_tasks(self)))))
        if timeout > 0:
            self._now = max(self._now + timeout, self._scheduled[0].when())
        return []

    def run_in_executor(self, _executor: Any, work: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = self.create_future()
        try:
            future.set_result(work(*arguments))
        except Exception as error:  # noqa: BLE001  the caller gets it, as from a thread
            future.set_exception(error)
        return future

    def _process_events(self, _events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody to wake: there is one thread."""


def _waiting(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack(limit=1)
    where = f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else "nowhere"
    return f"{task.get_name()} at {where}"
