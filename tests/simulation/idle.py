"""Idle detection: every request accepted, every record read and relayed, nothing on its way."""

import asyncio

from sqlalchemy import func, or_, select, text

from services.notify.tables import delivery
from shared.bus.tables import consumer_cursor
from tests.simulation.client import Client
from tests.simulation.collect import GROUPS, ends, rows
from tests.simulation.deployment import SERVICES, SimulatedDeployment

_LONGEST = 150.0
_STILL = 3
_STEP = 2.0


async def wait_until_idle(deployment: SimulatedDeployment, client: Client) -> list[str]:
    """Wait until it is so, and stays so; what is left after a long time."""
    until, still = asyncio.get_running_loop().time() + _LONGEST, 0
    while still < _STILL:
        await client.again(deployment.running("ingest"))
        left = [*await _unread(deployment), *await _uncarried(deployment), *await _on_their_way(deployment)]
        still = 0 if left or client.open or len(deployment.hosts) < len(deployment.names) else still + 1
        if asyncio.get_running_loop().time() > until:
            return [*left, f"{len(client.open)} requests", f"{len(deployment.hosts)} processes"]
        await asyncio.sleep(_STEP)
    return []


async def _unread(deployment: SimulatedDeployment) -> list[str]:
    at = {
        (row.consumer_group, row.topic, row.partition): row.next_offset
        for service in (SERVICES[:1] if deployment.embedded else SERVICES)
        for row in await rows(deployment, service, select(consumer_cursor))
    }
    return [
        f"{group} at {at.get((group, *place), 0)} of {end} in {place.topic}[{place.number}]"
        for place, end in (await ends(deployment)).items()
        for group in GROUPS[place.topic]
        if at.get((group, *place), 0) < end
    ]


async def _uncarried(deployment: SimulatedDeployment) -> list[str]:
    if deployment.embedded:
        return []
    waiting = text("SELECT topic, partition FROM log_end WHERE relayed_offset < next_offset")
    return [
        f"{row.topic}[{row.partition}] is not carried" for s in SERVICES for row in await rows(deployment, s, waiting)
    ]


async def _on_their_way(deployment: SimulatedDeployment) -> list[str]:
    soon = or_(
        delivery.c.status == "sending",
        (delivery.c.status == "pending") & (delivery.c.not_before <= deployment.clock.now()),
    )
    every = await rows(deployment, "notify", select(func.count()).select_from(delivery).where(soon))
    return [f"{every[0][0]} deliveries are on their way"] if every[0][0] else []
