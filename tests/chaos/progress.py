"""Progress: a line every quarter of a minute."""

import asyncio
import sys

from tests.chaos.backlog import backlog, describe
from tests.chaos.client import Client
from tests.chaos.faults import FaultTargets
from tests.chaos.world import World

_EVERY = 15.0


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def progress(world: World, targets: FaultTargets, client: Client) -> None:
    """For ever."""
    begun = asyncio.get_running_loop().time()
    while True:
        await asyncio.sleep(_EVERY)
        seconds = asyncio.get_running_loop().time() - begun
        lag = await _lag(world)
        say(f"{seconds:5.0f} s  {targets.counts.total} faults ({targets.counts}); {client.accepted:,} accepted; {lag}")


async def _lag(world: World) -> str:
    try:
        async with asyncio.timeout(5):
            return describe(await backlog(world))
    except Exception as error:  # noqa: BLE001  a server is away: that is the point of it all
        return f"lag unknown ({type(error).__name__})"
