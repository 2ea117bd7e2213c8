"""Nemesis: kills, freezes and restarts processes, takes databases and brokers away, rebalances groups."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from tests.simulation.deployment import SimulatedDeployment
from tests.simulation.process import Process

_SESSION = 4.0
_IDLE_IN_TRANSACTION = 2.0
_MONTH = timedelta(days=30)
_WRONG = 30.0
"""Seconds for which a clock is wrong, at most: on SQLite one that stays so for ten minutes is believed."""
_TABLES = (
    ("ingest", "ingest_membership"),
    ("lifecycle", "lifecycle_account"),
    ("lifecycle", "lifecycle_decision"),
    ("notify", "notify_account"),
    ("notify", "notify_delivery"),
    ("advocacy", "advocacy_account"),
)


class Nemesis:
    """`run` strikes until it is cancelled; `heal` puts everything right."""

    def __init__(self, deployment: SimulatedDeployment) -> None:
        self._deployment = deployment
        self._chance = deployment.chance
        self._every = deployment.chance.one((1.0, 2.0, 5.0))
        self._busy: set[asyncio.Task[None]] = set()
        deployment.sinks.freeze = self._freeze_now
        here: list[Callable[[], Awaitable[None]]] = [self._kill, self._kill, self._freeze, self._freeze, self._stop]
        there = [] if deployment.embedded else [self._deal, self._deal, self._brokers_down]
        self._strikes = [*here, self._clock_ahead, self._database_down, self._table_sick, self._table_sick, *there]

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._chance.up_to(2 * self._every))
            self._start(self._chance.one(self._strikes)())

    async def tend(self) -> None:
        """Whoever died comes back; the group notices later that he was gone."""
        while True:
            await asyncio.sleep(0.2)
            for name in self._deployment.reap():
                self._start(self._come_back(name))

    async def heal(self) -> None:
        self._chance.calm = True
        while self._busy:
            await asyncio.wait(self._busy)

    def _start(self, strike: Awaitable[None]) -> None:
        task = asyncio.ensure_future(strike)
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _come_back(self, name: str) -> None:
        dead = next(host.process for host in reversed(self._deployment.past) if host.process.name == name)
        await asyncio.sleep(self._chance.up_to(_SESSION))
        self._deployment.start(name)
        await asyncio.sleep(self._chance.up_to(_SESSION))
        self._deployment.cluster.expel(dead)

    def _victim(self) -> Process | None:
        able = [
            host.process for host in self._deployment.hosts.values() if host.process.alive and not host.process.frozen
        ]
        return self._chance.one(able) if able else None

    async def _kill(self) -> None:
        victim = self._victim()
        if victim is not None:
            self._chance.noted("killed", victim.name)
            victim.kill()

    async def _stop(self) -> None:
        victim = self._victim()
        if victim is not None:
            self._chance.noted("stopped", victim.name)
            await self._deployment.hosts[victim.name].stop()

    def _freeze_now(self, victim: Process) -> None:
        self._start(self._freeze(victim))

    async def _freeze(self, victim: Process | None = None) -> None:
        """For less or more than its session: then others have its partitions when it wakes."""
        victim = victim or self._victim()
        if victim is None or victim.frozen:
            return
        self._chance.noted("frozen", victim.name)
        victim.freeze()
        until = asyncio.get_running_loop().time() + self._chance.up_to(6 * _SESSION)
        since, members = asyncio.get_running_loop().time(), None
        while asyncio.get_running_loop().time() < until and victim.alive:
            await asyncio.sleep(0.5)
            for server in self._deployment.servers.values():
                await server.drop(victim, _IDLE_IN_TRANSACTION)
            if members is None and asyncio.get_running_loop().time() - since > _SESSION:
                members = self._deployment.cluster.expel(victim)
        self._deployment.trace.say("thawed", victim.name)
        victim.thaw()
        await asyncio.sleep(self._chance.up_to(_SESSION / 2))
        for member in members or []:
            if victim.alive and not member.closed:
                self._deployment.cluster.join(member)

    async def _clock_ahead(self) -> None:
        """A machine's clock is a month ahead, from a start on or in the middle of a life, and is set right with the next start."""
        victim = self._victim()
        if victim is None or self._deployment.machines[victim.name].ahead:
            return
        self._chance.noted("clock a month ahead", victim.name)
        self._deployment.machines[victim.name].ahead = _MONTH
        if self._chance.random.random() < 0.5:
            victim.kill()
        await asyncio.sleep(_SESSION + self._chance.up_to(_WRONG))
        host = self._deployment.hosts.get(victim.name)
        if host is not None:
            host.process.kill()
        self._deployment.machines[victim.name].ahead = timedelta()
        self._deployment.trace.say("clock set right", victim.name)

    async def _deal(self) -> None:
        groups = self._deployment.cluster.groups()
        if groups:
            group = self._chance.one(groups)
            self._chance.noted("dealt anew", group)
            self._deployment.cluster.deal(group)

    async def _database_down(self) -> None:
        server = self._chance.one(list(self._deployment.servers.values()))
        if not server.down:
            self._chance.noted("database down", server.name)
            server.down = True
            await asyncio.sleep(self._chance.up_to(6))
            server.down = False
            self._deployment.trace.say("database up", server.name)

    async def _table_sick(self) -> None:
        """Rows of one table find no room, while all others do: no record is at fault for that."""
        service, table = self._chance.one(_TABLES)
        server = self._deployment.server(service)
        server.sick = table
        self._chance.noted("table takes no rows", server.name)
        await asyncio.sleep(self._chance.up_to(3))
        server.sick = ""

    async def _brokers_down(self) -> None:
        if not self._deployment.cluster.down:
            self._chance.noted("brokers down", "cluster")
            self._deployment.cluster.down = True
            await asyncio.sleep(self._chance.up_to(6))
            self._deployment.cluster.down = False
            self._deployment.trace.say("brokers up", "cluster")
