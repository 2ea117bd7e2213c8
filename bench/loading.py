"""How is the load generator used? Started, given time to prepare, and let go."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.failure import Wrong
from bench.order import Order, Posted

ROOT = Path(__file__).parent.parent
Go = Callable[[], Coroutine[Any, Any, Posted]]


@asynccontextmanager
async def prepared(order: Order) -> AsyncIterator[Go]:
    """A generator with its bodies ready; calling what this gives starts the clock."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", cwd=ROOT, stdin=PIPE, stdout=PIPE, limit=2**24
    )

    async def go() -> Posted:
        said, _ = await process.communicate(b"go\n")
        posted = msgspec.json.decode(said, type=Posted)
        if posted.refused or posted.accepted != order.events:
            raise Wrong(f"{posted.accepted} of {order.events} events were accepted, {posted.refused} posts refused")
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
