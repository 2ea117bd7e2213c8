"""Waits: how long honest events wait for their decision, alone and among others who lie, when nothing fails any more."""

import asyncio
from collections.abc import Iterable
from typing import Any

from shared.contracts.topics import USAGE
from tests.simulation.client import Client
from tests.simulation.deployment import SimulatedDeployment
from tests.simulation.dishonest import Dishonest
from tests.simulation.host import KEY
from tests.simulation.idle import wait_until_idle
from tests.simulation.loop import VirtualLoop
from tests.simulation.workload import Body, Workload

MIDNIGHT = 0.0001
"""Seconds of a processor that one midnight costs: in virtual time too, for everybody, as if there were one processor for all."""
_POSTS = 6
_SETTLED = 40.0
"""Seconds after which no loop waits any more for what had failed before."""
_EACH = 0.5


class Waits:
    """Posts a load twice, the second time among others; `alone` and `among_others` are the ids of its events."""

    def __init__(
        self, deployment: SimulatedDeployment, workload: Workload, client: Client, dishonest: Dishonest
    ) -> None:
        self.alone: list[str] = []
        self.among_others: list[str] = []
        self._deployment = deployment
        self._workload = workload
        self._client = client
        self._dishonest = dishonest

    async def measure(self) -> list[str]:
        """What is left when all should have been decided."""
        await asyncio.sleep(_SETTLED)
        stuck = await self._load(self.alone, [[] for _ in range(_POSTS)])
        return stuck or await self._load(self.among_others, [self._dishonest.history() for _ in range(_POSTS)])

    async def _load(self, ids: list[str], others: list[list[Body]]) -> list[str]:
        for lies in others:
            events = self._workload.batch()
            new = [event for event in events if event["messageId"] not in self._client.told]
            ids += [event["messageId"] for event in new if "groupId" in event.get("context", {})]
            if lies:
                await self._post(lies)
            await self._post(events)
            await asyncio.sleep(self._deployment.chance.up_to(_EACH))
        return await wait_until_idle(self._deployment, self._client)

    async def _post(self, events: list[Body]) -> None:
        await self._client.post(self._deployment.running("ingest"), events, self._deployment.clock.now(), KEY)


def waits(ids: Iterable[str], client: Client, journal: list[list[Any]]) -> list[float]:
    """Seconds from the 200 to the commit of the decision, of those of these events that were decided after it."""
    decided = dict[str, float]()
    for notes in journal:
        at = next(note[1] for note in notes if note[0] == "at")
        for note in notes:
            if note[0] == "batch" and note[1] == USAGE.name:
                for message in note[2]:
                    decided.setdefault(message.id, at)
    both = ((client.accepted_at[name], decided[name]) for name in ids if name in client.accepted_at and name in decided)
    return [until - since for since, until in both]


def cost_time(fire: Any) -> Any:
    """A midnight that costs its sender's neighbours the time it takes."""

    def fired(*given: Any) -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.work(MIDNIGHT)
        return fire(*given)

    return fired
