"""How does the run speak with the sinks? It orders moods, and counts those that struck."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.servers.ports import free_port
from tests.chaos.mortal import command
from tests.chaos.sinks import FORGET

_ROOT = Path(__file__).parents[2]


class Sinks:
    """Both sinks, and the ports they listen on."""

    def __init__(self, process: asyncio.subprocess.Process, mail_port: int, hook_port: int) -> None:
        self.mail_port = mail_port
        self.hook_port = hook_port
        self._process = process

    def order(self, mood: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{mood}\n".encode())

    def behave(self) -> None:
        """Forget every mood that has not struck yet."""
        self.order(FORGET)

    async def listen(self, struck: Callable[[str], None]) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            struck(line.decode().strip())


@asynccontextmanager
async def sinks(folder: Path, struck: Callable[[str], None]) -> AsyncIterator[Sinks]:
    """Both sinks, as long as the block lasts."""
    ports = free_port(), free_port()
    pipe = asyncio.subprocess.PIPE
    words = command("tests.chaos.sinks", str(folder), *map(str, ports))
    process = await asyncio.create_subprocess_exec(*words, cwd=_ROOT, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    await process.stdout.readline()
    one = Sinks(process, *ports)
    listening = asyncio.create_task(one.listen(struck))
    try:
        yield one
    finally:
        process.kill()
        await process.wait()
        listening.cancel()
