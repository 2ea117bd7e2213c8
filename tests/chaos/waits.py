"""Waits: how long an honest event waits for its decision while nothing fails, alone and while others send made-up histories."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.chaos.run import Running

_ACCOUNTS = 12
_LOOK_SECONDS = 0.05
_PATIENCE = 120.0


class Waits(NamedTuple):
    """Seconds from the 200 to the decision, of each event but the slowest one: a machine has other things to do, too."""

    alone: list[float]
    among_others: list[float]


async def measured_waits(on: Running) -> Waits:
    """New accounts, one after the other; the second dozen each behind a new history of two centuries."""

    async def nobody() -> None:
        return None

    alone = await _waits(on, "quiet-alone", nobody)
    return Waits(alone, await _waits(on, "quiet-among", on.dishonest.tell_history))


async def _waits(on: Running, names: str, others: Callable[[], Awaitable[None]]) -> list[float]:
    found = []
    for number in range(_ACCOUNTS):
        account = f"{names}-{number}"
        await others()
        await on.client.post([on.stream.page(account, account)])
        found.append(await _until_decided(on, account))
    return sorted(found)[:-1]


async def _until_decided(on: Running, account: str) -> float:
    """Seconds until it is there; what never comes counts as the longest wait, and is found by the other promises."""
    now = asyncio.get_running_loop().time
    began = now()
    while now() - began < _PATIENCE:
        if await on.world.stores.rows("lifecycle", f"SELECT id FROM lifecycle_account WHERE id = '{account}'"):
            break
        await asyncio.sleep(_LOOK_SECONDS)
    return now() - began
