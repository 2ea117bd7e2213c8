"""Faults: every kind with its rate a minute and how it is done, the plan that a seed draws, and what has struck."""

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Literal, NamedTuple

import asyncpg

from deploy.servers import Kafka, Postgres
from tests.chaos import sinks
from tests.chaos.crash_points import ACCEPTED, AFTER, INSIDE, NO_RETURN, signal_of
from tests.chaos.fleet import Fleet, Slot
from tests.chaos.sinks import Sinks
from tests.chaos.stores import Stores


class FaultCounts:
    """Counts, by kind."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()

    def count(self, kind: str) -> None:
        self.kinds[kind] += 1

    @property
    def total(self) -> int:
        return self.kinds.total()

    def __str__(self) -> str:
        return ", ".join(f"{kind} {count}" for kind, count in sorted(self.kinds.items()))

    def table(self, minutes: float) -> str:
        rows = [f"{count:6}  {count / minutes:6.1f}  {kind}" for kind, count in self.kinds.most_common()]
        last = f"{self.total:6}  {self.total / minutes:6.1f}  all"
        return "\n".join([" count  a minute  fault", *rows, last])


_MONTH = 30
SERVICES = ("ingest", "lifecycle", "notify", "advocacy", "lifecycle")
"""Who is hit, in turn: lifecycle more often, it has the most replicas."""


class FaultTargets(NamedTuple):
    """Everything a fault can get at. `session` is how long a group waits for a member that does not answer."""

    fleet: Fleet
    sinks: Sinks
    stores: Stores
    counts: FaultCounts
    session: float
    servers: asyncio.Lock
    kafka: Kafka | None = None
    postgres: Postgres | None = None


class PlannedFault(NamedTuple):
    """One fault as planned: two numbers decide whom it hits and how hard."""

    at: float
    kind: str
    pick: int
    force: float


Do = Callable[[FaultTargets, PlannedFault], Awaitable[None]]


def _victim(targets: FaultTargets, fault: PlannedFault, *services: str) -> Slot | None:
    """The longest alive of the service whose turn it is; or of whichever has somebody."""
    among = services or SERVICES
    turn = fault.pick % len(among)
    for service in among[turn:] + among[:turn]:
        if alive := targets.fleet.alive(service):
            return alive[0]
    return None


async def _kill(targets: FaultTargets, fault: PlannedFault) -> None:
    victim = _victim(targets, fault)
    if victim and targets.fleet.send(victim, signal.SIGKILL):
        targets.counts.count(fault.kind)


async def _clock_ahead(targets: FaultTargets, fault: PlannedFault) -> None:
    """One start with the wall clock a month ahead, and the next is right again."""
    victim = _victim(targets, fault)
    if victim is None or victim.days_ahead:
        return
    victim.days_ahead = _MONTH
    targets.fleet.send(victim, signal.SIGKILL)
    targets.counts.count(fault.kind)
    await asyncio.sleep(5 + 5 * fault.force)
    victim.days_ahead = 0
    targets.fleet.send(victim, signal.SIGKILL)


def _arm(*services: str) -> Do:
    """The exit itself counts, when it comes."""

    async def arm(targets: FaultTargets, fault: PlannedFault) -> None:
        if victim := _victim(targets, fault, *services):
            targets.fleet.send(victim, signal_of(fault.kind))

    return arm


def _freeze(least: float, *, beyond_session: bool) -> Do:
    async def freeze(targets: FaultTargets, fault: PlannedFault) -> None:
        victim = _victim(targets, fault)
        if victim is None or not targets.fleet.send(victim, signal.SIGSTOP):
            return
        victim.frozen = True
        targets.counts.count(fault.kind)
        await asyncio.sleep(least + fault.force + (targets.session + 1 if beyond_session else 0))
        targets.fleet.send(victim, signal.SIGCONT)
        victim.frozen = False

    return freeze


def _cut(share: float) -> Do:
    """Backends end as if the network had: all of them, or some."""
    chosen = "" if share >= 1 else f" AND random() < {share}"
    statement = (
        "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity "
        f"WHERE application_name = 'waymark' AND datname = current_database(){chosen}"
    )

    async def cut(targets: FaultTargets, fault: PlannedFault) -> None:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            if (await targets.stores.rows("public", statement))[0]["n"]:
                targets.counts.count(fault.kind)

    return cut


def _on_server(of: Callable[[FaultTargets], Kafka | Postgres | None], hurt: Callable[..., None]) -> Do:
    """One server is away at a time, and the next is hurt when all are well again."""

    async def away(targets: FaultTargets, fault: PlannedFault) -> None:
        server = of(targets)
        if server is None:
            return
        async with targets.servers:
            await asyncio.to_thread(hurt, server)
            targets.counts.count(fault.kind)
            await asyncio.sleep(fault.force)
            await asyncio.to_thread(server.start)

    return away


async def _pause_broker(targets: FaultTargets, fault: PlannedFault) -> None:
    if targets.kafka is None:
        return
    async with targets.servers:
        targets.kafka.pause()
        targets.counts.count(fault.kind)
        await asyncio.sleep(0.5 + 2 * fault.force)
        targets.kafka.resume()


async def _rebalance(targets: FaultTargets, fault: PlannedFault) -> None:
    """A replica more, or one less; the first of each service stays."""
    others = [slot for slot in targets.fleet.slots.values() if slot != targets.fleet.of(slot.service)[0]]
    if not others:
        return
    slot = others[fault.pick % len(others)]
    if slot.wanted:
        targets.fleet.stop(slot)
    else:
        targets.fleet.start(slot)
    targets.counts.count(fault.kind)


async def _misbehave(targets: FaultTargets, fault: PlannedFault) -> None:
    """The message it strikes counts."""
    targets.sinks.order(fault.kind)


def _kafka(targets: FaultTargets) -> Kafka | None:
    return targets.kafka


def _postgres(targets: FaultTargets) -> Postgres | None:
    return targets.postgres


class Kind(NamedTuple):
    """How it is done, and how often a minute it is planned in each deployment."""

    do: Do
    scaled: float
    embedded: float = 0.0


FAULT_KINDS: dict[str, Kind] = {
    "kill -9": Kind(_kill, 14, 8),
    "clock a month ahead": Kind(_clock_ahead, 2, 3),
    INSIDE: Kind(_arm(), 9, 8),
    AFTER: Kind(_arm(), 7, 6),
    NO_RETURN: Kind(_arm("notify"), 3, 3),
    ACCEPTED: Kind(_arm("notify"), 3, 3),
    "frozen": Kind(_freeze(0.3, beyond_session=False), 9, 14),
    "zombie": Kind(_freeze(1, beyond_session=True), 2.5),
    "all backends cut": Kind(_cut(1), 4),
    "some backends cut": Kind(_cut(0.3), 15),
    "broker stopped": Kind(_on_server(_kafka, Kafka.stop), 0.5),
    "broker killed": Kind(_on_server(_kafka, Kafka.kill), 0.8),
    "broker paused": Kind(_pause_broker, 2),
    "postgres crashed": Kind(_on_server(_postgres, lambda server: server.stop("immediate")), 1),
    "postgres restarted": Kind(_on_server(_postgres, Postgres.stop), 0.5),
    "rebalance": Kind(_rebalance, 5),
    sinks.HANGS: Kind(_misbehave, 3, 3),
    sinks.DROPS: Kind(_misbehave, 5, 7),
    sinks.LATER: Kind(_misbehave, 9, 12),
    sinks.NEVER: Kind(_misbehave, 5, 7),
    sinks.SLOW: Kind(_misbehave, 4, 6),
    sinks.FAILS: Kind(_misbehave, 9, 12),
    sinks.LATE: Kind(_misbehave, 0.7, 0.7),
    sinks.SILENT: Kind(_misbehave, 0.7, 0.7),
    sinks.RESET: Kind(_misbehave, 7, 10),
}


def plan_faults(seed: int, deployment: Literal["scaled", "embedded"], seconds: float) -> list[PlannedFault]:
    """Each kind at its own rate, at moments the seed draws, but once at least: they overlap as they like."""
    random = Random(f"{seed}:{deployment}")
    faults = []
    for kind, rates in FAULT_KINDS.items():
        rate = getattr(rates, deployment)
        many = max(_whole(rate * seconds / 60, random), int(rate > 0))
        faults += [
            PlannedFault(random.uniform(0, seconds), kind, random.randrange(1000), random.random()) for _ in range(many)
        ]
    return sorted(faults)


def _whole(expected: float, random: Random) -> int:
    return int(expected) + (random.random() < expected % 1)


async def inject(plan: list[PlannedFault], targets: FaultTargets) -> None:
    """The whole plan, each fault at its time; then wait for those that last."""
    begun = asyncio.get_running_loop().time()
    under_way: set[asyncio.Task[None]] = set()
    try:
        for fault in plan:
            await asyncio.sleep(begun + fault.at - asyncio.get_running_loop().time())
            task = asyncio.create_task(FAULT_KINDS[fault.kind].do(targets, fault), name=fault.kind)
            under_way.add(task)
            task.add_done_callback(under_way.discard)
    finally:
        if under_way:
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*under_way)
