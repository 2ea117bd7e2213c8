"""Run: a fortnight of faults, then healing, then the evidence."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import select, text

from services.lifecycle.core import fold as folding
from services.notify.handlers.planning import GROUP as NOTIFY
from services.notify.store import LAYOUTS
from services.notify.tables import account
from shared.db.errors import is_infrastructure
from tests.chaos.evidence import Evidence
from tests.chaos.invariants import Verdict, verdicts
from tests.chaos.mutants import replaced
from tests.simulation.browser import Browser
from tests.simulation.chance import Chance
from tests.simulation.client import Client
from tests.simulation.collect import collected, records_of, rows
from tests.simulation.customers import Customers
from tests.simulation.database_templates import DatabaseTemplates
from tests.simulation.deployment import SimulatedDeployment
from tests.simulation.dishonest import Dishonest
from tests.simulation.host import BROWSER_KEY, playbook
from tests.simulation.idle import wait_until_idle
from tests.simulation.loop import VirtualLoop
from tests.simulation.nemesis import Nemesis
from tests.simulation.plans import plans
from tests.simulation.process import owned
from tests.simulation.trace import Trace
from tests.simulation.waits import Waits, cost_time, waits
from tests.simulation.workload import Workload

_DAYS = 9
_PATIENCE = timedelta(hours=30)
_EMBEDDED = 0.15
_PASTS = 3
"""So many accounts at most begin with an import."""


class Report(NamedTuple):
    """How a run ended."""

    seed: int
    verdicts: list[Verdict]
    halted: list[str]
    stuck: list[str]
    unhandled: list[str]
    faults: Counter[str]
    commits: int
    hours: float
    trace: Trace

    @property
    def kept(self) -> bool:
        return not (self.halted or self.stuck or self.unhandled or any(one.broken for one in self.verdicts))


def run(seed: int, templates: DatabaseTemplates, *, show: bool = False) -> Report:
    """One seed."""
    loop = VirtualLoop()
    loop.set_task_factory(owned)
    unhandled: list[str] = []
    loop.set_exception_handler(lambda _loop, context: _heard(unhandled, context))
    trace = Trace(loop.time, show)
    chance = Chance(seed, trace)
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=_fastest()) as folder:
        try:
            with replaced(folding, "_fire", cost_time(folding._fire)):  # noqa: SLF001  a processor's time is time
                return loop.run_until_complete(_run(seed, Path(folder), templates, chance, trace, unhandled))
        finally:
            _ended(loop)


async def _run(
    seed: int, folder: Path, templates: DatabaseTemplates, chance: Chance, trace: Trace, unhandled: list[str]
) -> Report:
    deployment = SimulatedDeployment(chance.random.random() < _EMBEDDED, folder, templates, chance, trace)
    began = deployment.clock.now()
    workload, client = Workload(chance, deployment.clock), Client(chance, trace)
    nemesis = Nemesis(deployment)
    for name in deployment.names:
        deployment.start(name)
    tending = asyncio.ensure_future(nemesis.tend())
    await _trouble(deployment, workload, client, nemesis)
    await nemesis.heal()
    stuck = await wait_until_idle(deployment, client)
    load = Waits(deployment, workload, client, Dishonest(workload, chance, deployment.clock, "late-"))
    stuck = stuck or await load.measure()
    deployment.clock.hold()
    stuck = stuck or await wait_until_idle(deployment, client)
    evidence = await collected(deployment, workload, client, templates, folder)
    evidence.replayed |= await plans(deployment, playbook(), await records_of(deployment))
    journal = deployment.server("lifecycle").journal
    evidence.waits_alone = waits(load.alone, client, journal)
    evidence.waits_among_others = waits(load.among_others, client, journal)
    tending.cancel()
    if not stuck:
        stuck = await _reread(deployment, client, evidence)
    found = verdicts(evidence)
    hours = (deployment.clock.now() - began).total_seconds() / 3600
    await deployment.close()
    return Report(
        seed, found, deployment.halted(), stuck, unhandled, chance.faults, trace.kinds["commit"], hours, trace
    )


async def _trouble(deployment: SimulatedDeployment, workload: Workload, client: Client, nemesis: Nemesis) -> None:
    """Customers use the product, and everything breaks; the nights pass in a leap."""
    breaking = asyncio.ensure_future(nemesis.run())
    browser, dishonest = Browser(workload, deployment.chance), Dishonest(workload, deployment.chance, deployment.clock)
    customers, began, requests = Customers(deployment), deployment.clock.now(), set[asyncio.Task[None]]()
    while (deployment.clock.now() - began).days < _DAYS:
        for _ in range(deployment.chance.random.randint(1, 4)):
            _also(requests, client.post(deployment.running("ingest"), workload.batch(), deployment.clock.now()))
            await asyncio.sleep(deployment.chance.up_to(1.0))
        if deployment.chance.random.random() < 0.25 and (events := browser.request()):
            _also(requests, client.post(deployment.running("ingest"), events, deployment.clock.now(), BROWSER_KEY))
        if deployment.chance.random.random() < 0.2:
            _also(requests, client.post(deployment.running("ingest"), *dishonest.request()))
        if workload.pasts < _PASTS and deployment.chance.random.random() < 0.25:
            _also(requests, client.post(deployment.running("ingest"), workload.past(), deployment.clock.now()))
        if deployment.chance.random.random() < 0.5:
            await customers.act()
        _also(requests, client.again(deployment.running("ingest")))
        await asyncio.sleep(deployment.chance.up_to(3.0))
        _leap(deployment, client)
    breaking.cancel()
    if requests:
        await asyncio.wait(requests)


def _leap(deployment: SimulatedDeployment, client: Client) -> None:
    """Hours pass; not many while somebody still waits to be told that events are safe: the window is a week."""
    hours, since = deployment.chance.one((0.1, 4, 9, 16, 26)), client.waits_since()
    if deployment.embedded and any(machine.ahead for machine in deployment.machines.values()):
        return
    long = since is not None and deployment.clock.now() - since > _PATIENCE
    deployment.clock.leap(0.1 if long else hours)
    deployment.trace.say("leapt", "clock", deployment.clock.now().isoformat())


def _also(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _reread(deployment: SimulatedDeployment, client: Client, evidence: Evidence) -> list[str]:
    """Notify reads its whole log once more. The clock stands still already: what falls due by itself has left."""
    before, planned = len(deployment.sinks.journal), await _planned(deployment)
    for name in [name for name, host in deployment.hosts.items() if "notify" in host.services]:
        await deployment.hosts[name].stop()
    for _ in deployment.reap():
        pass
    async with deployment.server("notify").file.transaction() as tx:
        await tx.run(
            text(f"UPDATE consumer_cursor SET next_offset = 0, next_sequence = 0 WHERE consumer_group = '{NOTIFY}'")
        )
    for name in deployment.names:
        if name not in deployment.hosts:
            deployment.start(name)
    for host in list(deployment.past):
        deployment.cluster.expel(host.process)
    stuck = await wait_until_idle(deployment, client)
    evidence.sends_after_reread = len(deployment.sinks.journal) - before
    again = await _planned(deployment)
    evidence.moved_by_reread = sorted(name for name in planned | again if planned.get(name) != again.get(name))
    return stuck


async def _planned(deployment: SimulatedDeployment) -> dict[str, bytes]:
    """What notify knows of each account, but for what its people said elsewhere: that is asked anew whenever it matters."""
    found = await rows(deployment, "notify", select(account.c.id, account.c.state))
    known = {row.id: LAYOUTS.decode(row.state) for row in found}
    return {name: LAYOUTS.encode(replace(one, refused_elsewhere={})) for name, one in known.items()}


def _ended(loop: VirtualLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(1))
    loop.close()


def _heard(unhandled: list[str], context: dict[str, Any]) -> None:
    error = context.get("exception")
    told = f"{context.get('message')}: {error!r}"
    if isinstance(error, Exception) and not is_infrastructure(error) and told not in unhandled:
        unhandled.append(told)


def _fastest() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  in memory, where there is such a place
