"""What is under measurement? The processes of one deployment, and how to ask them from outside."""

import asyncio
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2

from bench.cpu import used
from bench.failure import Wrong
from shared.keys import credentials
from shared.settings import Settings

ROOT = Path(__file__).parent.parent
_STEP = 0.02
_READY = 60.0
Pids = Callable[[], list[int]]


class Running(NamedTuple):
    """Where events go in, where lifecycle tells how many it handled, and whose processor time counts."""

    settings: Settings
    intake: int
    lifecycle: int
    pids: dict[str, Pids]

    @property
    def key(self) -> str:
        return credentials(self.settings.data).write

    def cpu(self) -> dict[str, float]:
        """Processor seconds so far, by process."""
        return {name: used(pids()) for name, pids in self.pids.items()}

    async def handled(self, count: int, seconds: float) -> float:
        """The moment (monotonic clock) at which lifecycle had handled that many. Raises Wrong when it never does."""
        loop, found = asyncio.get_running_loop(), -1
        deadline = loop.time() + seconds
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.lifecycle}") as http:
            while loop.time() < deadline:
                found = _handled((await http.get("/lifecycle/metrics")).text)
                if found >= count:
                    return loop.time()
                await asyncio.sleep(_STEP)
        raise Wrong(f"lifecycle handled {found} of {count} events within {seconds:.0f} s")


def _handled(metrics: str) -> int:
    lines = [line for line in metrics.splitlines() if line.startswith('waymark_handled{group="lifecycle"}')]
    return int(float(lines[0].split()[1])) if lines else -1


@asynccontextmanager
async def process(settings: Settings, environment: dict[str, str], command: Sequence[str]) -> AsyncIterator[Process]:
    """A `waymark` process; what it says goes to a file beside its data, shown when it fails."""
    log = settings.data / f"{'-'.join(command)}.log"
    with log.open("wb") as out:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "waymark", *command, cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    try:
        yield child
        if child.returncode is not None:
            raise Wrong(f"waymark {' '.join(command)} ended by itself: {log.read_text(errors='replace')[-500:]}")
    finally:
        await _stopped(child)


async def _stopped(child: Process) -> None:
    if child.returncode is None:
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), 20)
    except TimeoutError:
        child.kill()
        await child.wait()


async def ready(child: Process, port: int, service: str) -> None:
    """Wait until the service says so. Raises Wrong when it ends first, or takes too long."""
    url, loop = f"http://127.0.0.1:{port}/{service}/readyz", asyncio.get_running_loop()
    deadline = loop.time() + _READY
    async with httpx2.AsyncClient() as http:
        while loop.time() < deadline and child.returncode is None:
            try:
                if (await http.get(url)).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise Wrong(f"{service} did not get ready (exit code {child.returncode})")
