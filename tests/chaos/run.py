"""Run: services on their servers, the stream and the customers, the faults; then idle, and the evidence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from shared.clock import SystemClock
from tests.chaos import profile as settings_of
from tests.chaos.backlog import backlog, describe
from tests.chaos.browser import Browser
from tests.chaos.client import Client, Key, Posts
from tests.chaos.customers import Customers
from tests.chaos.dishonest import Dishonest
from tests.chaos.faults import FaultCounts, FaultTargets, inject, plan_faults
from tests.chaos.fleet import Fleet
from tests.chaos.journal import Journal, Tail, lines
from tests.chaos.process_pool import process_pool
from tests.chaos.profile import Profile
from tests.chaos.progress import progress, say
from tests.chaos.sinks import HOOKS, MAILS, run_sinks
from tests.chaos.stores import Stores
from tests.chaos.stream import Stream
from tests.chaos.world import Scaled, World, embedded, scaled

_IDLE_SECONDS = 150.0
_IDLE_CHECKS = 2
POSTED, SAID, ACCEPTED, ALLOWED = "posted.jsonl", "said.jsonl", "accepted.jsonl", "allowed.jsonl"


class NotIdleError(Exception):
    """Something waits for ever."""


@dataclass
class Running:
    """Everything that runs."""

    world: World
    targets: FaultTargets
    client: Client
    stream: Stream
    customers: Customers
    browser: Browser
    dishonest: Dishonest


@asynccontextmanager
async def running(profile: Profile, folder: Path) -> AsyncIterator[Running]:
    """All of it, and whatever happens nothing of it afterwards."""
    counts, data = FaultCounts(), folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        world: World = await stack.enter_async_context(_WORLDS[profile.deployment](folder))
        both = await stack.enter_async_context(run_sinks(folder, counts.count))
        environment = {**settings_of.environment(folder, both), **world.environment}
        fleet = Fleet(settings_of.slots(profile.deployment), environment, folder, counts.count)
        pool = await stack.enter_async_context(process_pool(folder, profile.mutant, fleet.on_event))
        fleet.use(pool)
        servers = (world.kafka, world.postgres) if isinstance(world, Scaled) else ()
        targets = FaultTargets(fleet, both, world.stores, counts, settings_of.SESSION, asyncio.Lock(), *servers)
        outside = _outside(profile, folder, fleet)
        for client in outside.clients:
            stack.push_async_callback(client.close)
        yield Running(
            world,
            targets,
            outside.clients[0],
            outside.stream,
            outside.customers,
            outside.browser,
            outside.dishonest,
        )


class Outside(NamedTuple):
    """Who acts on the product: with the server's key, with the public one, and over links."""

    clients: tuple[Client, Client]
    stream: Stream
    customers: Customers
    browser: Browser
    dishonest: Dishonest


def _outside(profile: Profile, folder: Path, fleet: Fleet) -> Outside:
    """Who acts on the product from outside."""

    def random_of(name: str) -> Random:
        return Random(f"{profile.seed}:{profile.deployment}:{name}")

    def ports(service: str) -> list[int]:
        return [slot.port for slot in fleet.of(service) if slot.wanted]

    posts = Posts(*(Journal(folder / name, sync=False) for name in (POSTED, SAID, ACCEPTED)))
    server, page = Key("server", settings_of.WRITE_KEY), Key("browser", settings_of.BROWSER_KEY)
    client, public = (
        Client(lambda: ports("ingest"), key, posts, random_of(name))
        for key, name in ((server, "client"), (page, "public"))
    )
    allowed = Journal(folder / ALLOWED, sync=False)
    stream = Stream(client, random_of("stream"), SystemClock(), allowed, profile.rate)
    customers = Customers(Tail(folder / MAILS), stream, ports, settings_of.ADMIN_KEY, random_of("customers"))
    browser = Browser(public, stream, random_of("browser"))
    dishonest = Dishonest(client, public, stream, random_of("dishonest"), SystemClock())
    return Outside((client, public), stream, customers, browser, dishonest)


async def inject_faults(on: Running, profile: Profile) -> None:
    """The faults, while everybody works; then people answer the mail that was still to come."""
    fleet = on.targets.fleet
    for slot in fleet.slots.values():
        if slot.wanted:
            fleet.start(slot)
    plan = plan_faults(profile.seed, profile.deployment, profile.seconds)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(on.stream.run())
        tasks.create_task(on.customers.run())
        tasks.create_task(on.browser.run())
        tasks.create_task(on.dishonest.run())
        watching = tasks.create_task(progress(on.world, on.targets, on.client))
        await inject(plan, on.targets)
        on.targets.sinks.behave()
        for slot in fleet.slots.values():
            fleet.start(slot)
        on.stream.draws = False
        watching.cancel()
        await became_idle(on)
        on.customers.stopped = on.stream.stopped = on.browser.stopped = on.dishonest.stopped = True


async def wait_until_idle(on: Running, seconds: float = _IDLE_SECONDS) -> None:
    """Until nothing waits anywhere, seen twice. Raises NotIdleError, saying what waits."""
    idle, found = 0, dict[str, int]()
    deadline = asyncio.get_running_loop().time() + seconds
    while idle < _IDLE_CHECKS:
        try:
            found = await backlog(on.world)
            idle = 0 if found else idle + 1
        except Exception as error:  # noqa: BLE001  a server may be on its way up
            found, idle = {repr(error): 1}, 0
        if asyncio.get_running_loop().time() > deadline:
            raise NotIdleError(describe(found))
        say(f"  idle? {describe(found)}")
        if idle < _IDLE_CHECKS:
            await asyncio.sleep(3)


async def became_idle(on: Running) -> bool:
    """Whether it did; if not, it is said what waits."""
    try:
        await wait_until_idle(on)
    except NotIdleError as error:
        say(f"NOT IDLE: {error}")
        return False
    return True


_TOPICS = ("lifecycle.v1", "advocacy.v1")


async def reread_log(on: Running, folder: Path) -> int:
    """How many messages left that were not waiting to leave anyway."""
    before, open_ones = _sent(folder), await _open(on.world.stores)
    await _to_the_beginning(on)
    for slot in on.targets.fleet.of("notify"):
        on.targets.fleet.start(slot)
    await wait_until_idle(on)
    await on.targets.fleet.stop_all()
    return sum(name not in open_ones for name in _sent(folder)[len(before) :])


async def _to_the_beginning(on: Running) -> None:
    for (topic, part), span in (await on.world.bounds()).items():
        if topic in _TOPICS:
            here = f"consumer_group = 'notify' AND topic = '{topic}' AND partition = {part}"
            back = f"UPDATE consumer_cursor SET next_offset = {span.begin}, next_sequence = 0 WHERE {here}"
            await on.world.stores.run("notify", back)


async def _open(stores: Stores) -> set[str]:
    rows = await stores.rows("notify", "SELECT id FROM notify_delivery WHERE status IN ('pending', 'sending')")
    return {row["id"] for row in rows}


def _sent(folder: Path) -> list[str]:
    return [line["delivery"] for name in (MAILS, HOOKS) for line in lines(folder / name)]


_WORLDS = {"scaled": scaled, "embedded": embedded}
