"""How does the run start processes and hear of their deaths? Through the zygote."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from tests.chaos.mortal import command
from tests.chaos.orders import Order, Told

Heard = Callable[[Told], None]
_ROOT = Path(__file__).parents[2]


class Nursery:
    """`heard` is called for every birth and death."""

    def __init__(self, zygote: asyncio.subprocess.Process, heard: Heard) -> None:
        self._zygote = zygote
        self._heard = heard

    def start(self, order: Order) -> None:
        """Its birth will be told."""
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(msgspec.json.encode(order) + b"\n")

    async def listen(self) -> None:
        assert self._zygote.stdout is not None
        while line := await self._zygote.stdout.readline():
            self._heard(msgspec.json.decode(line, type=Told))


@asynccontextmanager
async def nursery(folder: Path, mutant: str, heard: Heard) -> AsyncIterator[Nursery]:
    """The zygote and all its children end with the block."""
    pipe = asyncio.subprocess.PIPE
    with (folder / "zygote.log").open("wb") as log:
        zygote = await asyncio.create_subprocess_exec(
            *command("tests.chaos.zygote", mutant), cwd=_ROOT, stdin=pipe, stdout=pipe, stderr=log
        )
    one = Nursery(zygote, heard)
    listening = asyncio.create_task(one.listen())
    try:
        yield one
    finally:
        zygote.kill()
        await zygote.wait()
        listening.cancel()
