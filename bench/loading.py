"""How is the load generator used? Started, given time to prepare, and let go."""

import asyncio
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.failure import Wrong
from bench.order import Order, Posted
from bench.servers import ROOT

Go = Callable[[], Coroutine[Any, Any, Posted]]


def _patience(order: Order) -> float:
    """Ten times what is expected, and a minute."""
    paced = order.events / order.rate if order.rate else order.events / 1_000
    return 60 + 10 * (order.seconds or paced)


@asynccontextmanager
async def prepared(order: Order) -> AsyncIterator[Go]:
    """A generator with its bodies ready; calling what this gives starts the clock."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "posted.json")
        async with _started(report) as process:
            yield await _ready(process, order, report)


@asynccontextmanager
async def _started(report: Path) -> AsyncIterator[Process]:
    words = [sys.executable, "-m", "bench.load", str(report)]
    process = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _read(report: Path) -> Posted:
    return msgspec.json.decode(report.read_bytes(), type=Posted)


async def _ready(process: Process, order: Order, report: Path) -> Go:
    """It has its order, and its bodies."""

    async def go() -> Posted:
        try:
            async with asyncio.timeout(_patience(order)):
                await process.communicate(b"go\n")
        except TimeoutError:
            raise Wrong(f"{order.events} events could not be posted within {_patience(order):.0f} s") from None
        if process.returncode:
            raise Wrong(f"the load generator broke off with exit code {process.returncode}: did the server hang up?")
        posted = await asyncio.to_thread(_read, report)
        if posted.refused or not (order.seconds or posted.posts == -(-order.events // order.size)):
            raise Wrong(f"{posted.posts} posts of {order.events} events were made, {posted.refused} of them refused")
        return posted

    assert process.stdin is not None  # noqa: S101  asked for
    assert process.stdout is not None  # noqa: S101  asked for
    process.stdin.write(msgspec.json.encode(order) + b"\n")
    await process.stdin.drain()
    if await process.stdout.readline() != b"ready\n":
        raise Wrong("the load generator did not get ready")
    return go
