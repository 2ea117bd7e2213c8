"""Fleet: the slots of service processes; a process that ends is started again at once, as an orchestrator would."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.crash_points import POINTS
from tests.chaos.process_pool import DAYS_AHEAD, ProcessEvent, ProcessPool, StartProcess

_MOMENT = 0.2
_MOST_BACKOFF = 4.0
_NAMES = {code: point for point, code in POINTS.items()}


@dataclass
class Slot:
    """A place for one process, with a port it keeps. `wanted`: it is to run."""

    name: str
    services: Sequence[str]
    port: int
    wanted: bool = True
    pid: int | None = None
    starting: bool = False
    frozen: bool = False
    days_ahead: int = 0
    """How far the wall clock of the next process here is ahead."""
    started_at: float = 0.0
    failed: int = 0
    """How often in a row it gave up by itself."""

    @property
    def service(self) -> str:
        return self.services[0]


class Fleet:
    """Every slot. `on_crash_point` is called for each planted exit that happened."""

    def __init__(
        self, slots: Sequence[Slot], environment: dict[str, str], folder: Path, on_crash_point: Callable[[str], None]
    ) -> None:
        self.slots = {slot.name: slot for slot in slots}
        self.gave_up: Counter[str] = Counter()
        """Ends that nobody ordered, by slot and exit code: a service whose servers are away at its start."""
        self._environment = environment
        self._folder = folder
        self._on_crash_point = on_crash_point
        self._pool: ProcessPool | None = None
        self._restarts: set[asyncio.Task[None]] = set()

    def use(self, process_pool: ProcessPool) -> None:
        self._pool = process_pool

    def on_event(self, event: ProcessEvent) -> None:
        """A start or an exit."""
        slot = self.slots[event.name]
        if event.status is None:
            slot.pid, slot.started_at = event.pid, _now()
            return
        slot.pid, slot.starting, slot.frozen = None, False, False
        if event.status in _NAMES:
            self._on_crash_point(_NAMES[event.status])
        elif event.status > 0:
            self.gave_up[f"{event.name}:{event.status}"] += 1
        slot.failed = slot.failed + 1 if event.status == 1 else 0
        if slot.wanted:
            self._restart_after(slot, min(_MOST_BACKOFF, 2.0 ** (slot.failed - 1)) if slot.failed else _MOMENT)

    def start(self, slot: Slot) -> None:
        slot.wanted = True
        if slot.pid is None and not slot.starting and self._pool is not None:
            slot.starting = True
            own = {"WAYMARK_PORT": str(slot.port), DAYS_AHEAD: str(slot.days_ahead)}
            log = str(self._folder / f"{slot.name}.log")
            self._pool.start(StartProcess(slot.name, list(slot.services), {**self._environment, **own}, log))

    def alive(self, service: str | None = None) -> list[Slot]:
        """Slots with a process that is not frozen, those of one service or of all; the longest alive first."""
        found = [slot for slot in self.slots.values() if slot.pid and not slot.frozen]
        found = [slot for slot in found if service is None or service in slot.services]
        return sorted(found, key=lambda slot: slot.started_at)

    def of(self, service: str) -> list[Slot]:
        return [slot for slot in self.slots.values() if service in slot.services]

    def send(self, slot: Slot, number: int) -> bool:
        """Signal it; False when there is no process."""
        if slot.pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(slot.pid, number)
            return True
        return False

    def stop(self, slot: Slot) -> None:
        """In good order, and it does not come back."""
        slot.wanted = False
        self.send(slot, signal.SIGTERM)

    async def stop_all(self, patience: float = 20.0) -> bool:
        """Everything, and wait for it; whether all of them ended by themselves."""
        for slot in self.slots.values():
            self.stop(slot)
        by_themselves = await self._gone(patience)
        for slot in self.slots.values():
            self.send(slot, signal.SIGKILL)
        return await self._gone(patience) and by_themselves

    async def _gone(self, patience: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while any(slot.pid or slot.starting for slot in self.slots.values()):  # noqa: ASYNC110  many can wake us
                    await asyncio.sleep(0.05)
            return True
        return False

    def _restart_after(self, slot: Slot, pause: float) -> None:
        async def restart() -> None:
            await asyncio.sleep(pause)
            if slot.wanted:
                self.start(slot)

        task = asyncio.create_task(restart())
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)


def _now() -> float:
    return asyncio.get_running_loop().time()
