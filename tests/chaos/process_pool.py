"""Process pool: starts service processes through the fork server and reports their starts and exits.

Nothing outlives the run: the kernel kills a child when its parent dies, however it dies.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def exit_with_parent(parent: int) -> None:
    """From now on. A parent that died meanwhile is noticed, too."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def child_command(module: str, *words: str) -> list[str]:
    """The command that starts a module of ours as a child that dies with us: it calls `exit_with_parent` with its first word."""
    return [sys.executable, "-m", module, str(os.getpid()), *words]


DAYS_AHEAD = "CHAOS_DAYS_AHEAD"
"""In the environment of a process: how far its wall clock is ahead."""


class StartProcess(msgspec.Struct):
    """Start `services` in a process called `name`."""

    name: str
    services: list[str]
    environment: dict[str, str]
    log: str


class ProcessEvent(msgspec.Struct, omit_defaults=True):
    """`name` runs as `pid`; or, with a status, it does not any more (negative: the signal that ended it)."""

    name: str
    pid: int
    status: int | None = None


OnEvent = Callable[[ProcessEvent], None]
_ROOT = Path(__file__).parents[2]


class ProcessPool:
    """Starts processes through the fork server; `on_event` is called for every start and exit."""

    def __init__(self, fork_server: asyncio.subprocess.Process, on_event: OnEvent) -> None:
        self._fork_server = fork_server
        self._on_event = on_event

    def start(self, order: StartProcess) -> None:
        """Its start will be reported."""
        assert self._fork_server.stdin is not None
        self._fork_server.stdin.write(msgspec.json.encode(order) + b"\n")

    async def listen(self) -> None:
        assert self._fork_server.stdout is not None
        while line := await self._fork_server.stdout.readline():
            self._on_event(msgspec.json.decode(line, type=ProcessEvent))


@asynccontextmanager
async def process_pool(folder: Path, mutant: str, on_event: OnEvent) -> AsyncIterator[ProcessPool]:
    """The fork server and all its children end with the block."""
    pipe = asyncio.subprocess.PIPE
    with (folder / "fork-server.log").open("wb") as log:
        fork_server = await asyncio.create_subprocess_exec(
            *child_command("tests.chaos.fork_server", mutant), cwd=_ROOT, stdin=pipe, stdout=pipe, stderr=log
        )
    pool = ProcessPool(fork_server, on_event)
    listening = asyncio.create_task(pool.listen())
    try:
        yield pool
    finally:
        fork_server.kill()
        await fork_server.wait()
        listening.cancel()
