"""Simulated deployment: its databases, the cluster, and the processes, which may die and come back."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from shared.contracts.topics import TOPICS
from tests.simulation.chance import Chance
from tests.simulation.clock import Clock, Skewed
from tests.simulation.cluster import Cluster
from tests.simulation.database import Server
from tests.simulation.database_templates import DatabaseTemplates
from tests.simulation.host import Host
from tests.simulation.process import Process
from tests.simulation.sinks import Sinks
from tests.simulation.trace import Trace

SERVICES = ("ingest", "lifecycle", "notify", "advocacy")
_SCALED = {"ingest": 2, "lifecycle": 3, "notify": 2, "advocacy": 1}
PARTS = 3
OFF = 1.5
"""Seconds by which a machine's clock is wrong, at most."""


class SimulatedDeployment:
    """`hosts` are the processes that run, by name; a name without a host is down."""

    def __init__(
        self, embedded: bool, folder: Path, templates: DatabaseTemplates, chance: Chance, trace: Trace
    ) -> None:
        self.embedded = embedded
        self.chance = chance
        self.trace = trace
        self.clock = Clock()
        self.sinks = Sinks(chance, trace, self.clock)
        self.cluster = Cluster([topic.name for topic in TOPICS], PARTS, chance, trace, self.clock)
        self.hosts: dict[str, Host] = {}
        self.past: list[Host] = []
        self.servers = {
            "+".join(some): Server("+".join(some), templates.copy(some, folder / f"{some[0]}.db"), chance, trace, told)
            for some, told in ([(SERVICES, None)] if embedded else [((one,), self.clock) for one in SERVICES])
        }
        self._folder = folder
        self.names = ["all-1"] if embedded else [f"{s}-{n + 1}" for s, many in _SCALED.items() for n in range(many)]
        self.machines = {name: Skewed(self.clock, chance.random.uniform(-OFF, OFF)) for name in self.names}

    def start(self, name: str) -> Host:
        """A process comes up."""
        service = name.partition("-")[0]
        self.trace.say("started", name)
        machine = self.machines[name]
        host = Host(Process(name, service, self.chance, self.trace), machine, self.sinks, self._folder / name)
        if self.embedded:
            host.embedded(SERVICES, self.server(service))
        else:
            host.scaled(service, self.server(service), self.cluster)
        self.hosts[name] = host
        return host

    def server(self, service: str) -> Server:
        return next(iter(self.servers.values())) if self.embedded else self.servers[service]

    def running(self, service: str) -> list[Host]:
        """Processes of this service that are alive."""
        return [host for host in self.hosts.values() if service in host.services and host.process.alive]

    def reap(self) -> Iterator[str]:
        """Names of processes that died since the last look."""
        for name, host in list(self.hosts.items()):
            if not host.process.alive:
                del self.hosts[name]
                self.past.append(host)
                yield name

    def halted(self) -> list[str]:
        """What stopped for good, and why."""
        every = [*self.past, *self.hosts.values()]
        return [
            f"{h.process.name}: {loop.name}: {loop.problem}"
            for h in every
            for loop in h.loops
            if loop.state == "halted"
        ]

    async def close(self) -> None:
        for host in self.hosts.values():
            host.process.kill()
        for _ in range(500):
            if not any(host.process.tasks for host in [*self.past, *self.hosts.values()]):
                break
            await asyncio.sleep(0.1)
        for server in self.servers.values():
            await server.file.close()
