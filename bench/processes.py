"""Processes under measurement: how one of ours is started, and asked from outside."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from bench.cpu import Pids
from bench.errors import InvalidResult
from bench.servers import ROOT
from shared.settings import Settings

_READY = 60.0
_GRACE = 20.0


def just(process: Process) -> Pids:
    """Its process id, wherever processor time is asked for."""
    return lambda: [process.pid]


@asynccontextmanager
async def waymark(settings: Settings, port: int, command: Sequence[str]) -> AsyncIterator[Process]:
    """A `waymark` process; what it says goes to a file beside its data, shown when it fails."""
    words = [sys.executable, "-m", "waymark", *command]
    async with running(words, environment(settings, port), settings.data / f"{'-'.join(command)}.log") as child:
        yield child


@asynccontextmanager
async def running(words: Sequence[str], environment: dict[str, str], log: Path) -> AsyncIterator[Process]:
    """A process that lasts as long as the block. Raises InvalidResult when it ends earlier."""
    with log.open("wb") as out:
        child = await asyncio.create_subprocess_exec(*words, cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        yield child
        if child.returncode is not None:
            raise InvalidResult(f"{' '.join(words[1:])} ended by itself: {tail(log)}")
    finally:
        await stopped(child)


def tail(log: Path) -> str:
    """The end of what a process said."""
    return log.read_text(errors="replace").strip()[-600:]


async def stopped(child: Process) -> None:
    """Ask it to end; kill it when it does not."""
    if child.returncode is None:
        child.terminate()
    try:
        async with asyncio.timeout(_GRACE):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


async def ready(child: Process, url: str) -> None:
    """Wait until it answers 200 there. Raises InvalidResult when it ends first, or takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _READY
    async with httpx2.AsyncClient() as http:
        while loop.time() < deadline and child.returncode is None:
            try:
                if (await http.get(url)).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise InvalidResult(f"{url} did not get ready (exit code {child.returncode})")


def environment(settings: Settings, port: int) -> dict[str, str]:
    """What a process of ours finds in its environment: these settings and no other WAYMARK_*."""
    given = {
        "WAYMARK_DATA": str(settings.data),
        "WAYMARK_CONFIG": str(settings.config),
        "WAYMARK_DATABASE_URL": settings.database_url,
        "WAYMARK_BUS_URL": settings.bus_url,
        "WAYMARK_TOPIC_PREFIX": settings.topic_prefix,
        "WAYMARK_PORT": str(port),
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("WAYMARK_")}
    return others | {name: value for name, value in given.items() if value}
