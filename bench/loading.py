"""How is the load generator used? Started, given time to prepare, and let go."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
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
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", cwd=ROOT, stdin=PIPE, stdout=PIPE, limit=2**24
    )

    async def go() -> Posted:
        try:
            async with asyncio.timeout(_patience(order)):
                said, _ = await process.communicate(b"go\n")
        except TimeoutError:
            raise Wrong(f"{order.events} events could not be posted within {_patience(order):.0f} s") from None
        if not said:
            raise Wrong("the load generator broke off: the server hung up")
        posted = msgspec.json.decode(said, type=Posted)
        if posted.refused or not (order.seconds or posted.posts == -(-order.events // order.size)):
            raise Wrong(f"{posted.posts} posts of {order.events} events were made, {posted.refused} of them refused")
        return posted

    try:
        assert process.stdin is not None  # noqa: S101  asked for above
        assert process.stdout is not None  # noqa: S101  asked for above
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        await process.stdin.drain()
        if await process.stdout.readline() != b"ready\n":
            raise Wrong("the load generator did not get ready")
        yield go
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
