"""Control of the load generator: its order, its report, and the process itself, which is started, prepared and let go.

Order and report are one JSON line each way.
"""

import asyncio
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.errors import InvalidResult
from bench.plan import CONNECTIONS, ROAD_ACCOUNTS, SIZE
from bench.servers import ROOT
from bench.stream import name_of, spread


class Order(msgspec.Struct, frozen=True):
    """Post events `first` to `first + events`; with `newcomers` each batch begins with the first event of a new account.

    `rate` is events a second; 0 is as fast as answers come. `each_once` gives every account one event. With `seconds`
    the same posts come again and again until that time is over.
    """

    port: int
    key: str
    stream: str
    events: int
    rate: float = 0.0
    newcomers: int = 0
    each_once: bool = False
    seconds: float = 0.0
    size: int = SIZE
    connections: int = CONNECTIONS

    def accounts(self) -> list[tuple[int, int]]:
        """Each event's number and account."""
        return [(number, self._account(number)) for number in range(self.events)]

    def newcomer(self, batch: int) -> str | None:
        """The account that this batch is the first to name: those from `newcomers` on."""
        return name_of(self.newcomers + batch) if self.newcomers else None

    def _account(self, number: int) -> int:
        if self.newcomers and number % self.size == 0:
            return self.newcomers + number // self.size
        return number % ROAD_ACCOUNTS if self.each_once else spread(number, ROAD_ACCOUNTS)


class Posted(msgspec.Struct, frozen=True):
    """When the first post began and the last was answered (monotonic clock), how many events were accepted, how often not.

    `answered` is when the 200 for each batch came, by its place; `posts` how many there were.
    """

    begun: float
    ended: float
    accepted: int
    refused: int
    posts: int
    answered: dict[int, float]


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
            raise InvalidResult(f"{order.events} events could not be posted within {_patience(order):.0f} s") from None
        if process.returncode:
            raise InvalidResult(
                f"the load generator broke off with exit code {process.returncode}: did the server hang up?"
            )
        posted = await asyncio.to_thread(_read, report)
        if posted.refused or not (order.seconds or posted.posts == -(-order.events // order.size)):
            raise InvalidResult(
                f"{posted.posts} posts of {order.events} events were made, {posted.refused} of them refused"
            )
        return posted

    assert process.stdin is not None  # noqa: S101  asked for
    assert process.stdout is not None  # noqa: S101  asked for
    process.stdin.write(msgspec.json.encode(order) + b"\n")
    await process.stdin.drain()
    if await process.stdout.readline() != b"ready\n":
        raise InvalidResult("the load generator did not get ready")
    return go
