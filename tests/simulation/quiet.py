"""Has everything been said and done? Every request accepted, every record read and carried, nothing on its way."""

import asyncio

from sqlalchemy import func, or_, select, text

from services.notify.tables import delivery
from shared.bus.tables import consumer_cursor
from tests.simulation.client import Client
from tests.simulation.gathering import GROUPS, ends, rows
from tests.simulation.town import SERVICES, Town

_LONGEST = 150.0
_STILL = 3
_STEP = 2.0


async def quiet(town: Town, client: Client) -> list[str]:
    """Wait until it is so, and stays so; what is left after a long time."""
    until, still = asyncio.get_running_loop().time() + _LONGEST, 0
    while still < _STILL:
        await client.again(town.running("ingest"))
        left = [*await _unread(town), *await _uncarried(town), *await _on_their_way(town)]
        still = 0 if left or client.open or len(town.hosts) < len(town.names) else still + 1
        if asyncio.get_running_loop().time() > until:
            return [*left, f"{len(client.open)} requests", f"{len(town.hosts)} processes"]
        await asyncio.sleep(_STEP)
    return []


async def _unread(town: Town) -> list[str]:
    at = {
        (row.consumer_group, row.topic, row.partition): row.next_offset
        for service in (SERVICES[:1] if town.embedded else SERVICES)
        for row in await rows(town, service, select(consumer_cursor))
    }
    return [
        f"{group} at {at.get((group, *place), 0)} of {end} in {place.topic}[{place.number}]"
        for place, end in (await ends(town)).items()
        for group in GROUPS[place.topic]
        if at.get((group, *place), 0) < end
    ]


async def _uncarried(town: Town) -> list[str]:
    if town.embedded:
        return []
    waiting = text("SELECT topic, partition FROM log_end WHERE relayed_offset < next_offset")
    return [f"{row.topic}[{row.partition}] is not carried" for s in SERVICES for row in await rows(town, s, waiting)]


async def _on_their_way(town: Town) -> list[str]:
    soon = or_(
        delivery.c.status == "sending", (delivery.c.status == "pending") & (delivery.c.not_before <= town.clock.now())
    )
    every = await rows(town, "notify", select(func.count()).select_from(delivery).where(soon))
    return [f"{every[0][0]} deliveries are on their way"] if every[0][0] else []
