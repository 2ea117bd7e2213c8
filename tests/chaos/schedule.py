"""When does what happen? The seed plans it; the run strikes it."""

import asyncio
from contextlib import suppress
from random import Random
from typing import Literal

from tests.chaos.faults import KINDS, Blow, Stage


def planned(seed: int, deployment: Literal["scaled", "embedded"], seconds: float) -> list[Blow]:
    """Each kind at its own rate, at moments the seed draws: they overlap as they like."""
    chance = Random(f"{seed}:{deployment}")
    blows = []
    for kind, rates in KINDS.items():
        rate = getattr(rates, deployment)
        many = _whole(rate * seconds / 60, chance)
        blows += [Blow(chance.uniform(0, seconds), kind, chance.randrange(1000), chance.random()) for _ in range(many)]
    return sorted(blows)


def _whole(expected: float, chance: Random) -> int:
    return int(expected) + (chance.random() < expected % 1)


async def strike(plan: list[Blow], stage: Stage) -> None:
    """The whole plan, each blow at its time; then wait for those that last."""
    begun = asyncio.get_running_loop().time()
    under_way: set[asyncio.Task[None]] = set()
    try:
        for blow in plan:
            await asyncio.sleep(begun + blow.at - asyncio.get_running_loop().time())
            task = asyncio.create_task(KINDS[blow.kind].do(stage, blow), name=blow.kind)
            under_way.add(task)
            task.add_done_callback(under_way.discard)
    finally:
        if under_way:
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*under_way)
