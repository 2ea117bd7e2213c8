"""What is one run? The services on their servers, the stream and the customers, the faults; then quiet, and the evidence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from shared.clock import SystemClock
from tests.chaos import profile as of
from tests.chaos.client import Client
from tests.chaos.customers import Customers
from tests.chaos.faults import Stage
from tests.chaos.fleet import Fleet
from tests.chaos.journal import Journal, Tail
from tests.chaos.nursery import nursery
from tests.chaos.profile import Profile
from tests.chaos.progress import progress, say
from tests.chaos.schedule import planned, strike
from tests.chaos.settled import told, waiting
from tests.chaos.sinking import sinks
from tests.chaos.sinks import MAILS
from tests.chaos.stream import Stream
from tests.chaos.tally import Tally
from tests.chaos.world import Scaled, World, embedded, scaled

_QUIET = 150.0
_TWICE = 2
POSTED, ACCEPTED, ALLOWED = "posted.jsonl", "accepted.jsonl", "allowed.jsonl"


class NotQuietError(Exception):
    """Something waits for ever."""


@dataclass
class Running:
    """Everything that runs."""

    world: World
    stage: Stage
    client: Client
    stream: Stream
    customers: Customers


@asynccontextmanager
async def running(profile: Profile, folder: Path) -> AsyncIterator[Running]:
    """All of it, and whatever happens nothing of it afterwards."""
    tally, data = Tally(), folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        world: World = await stack.enter_async_context(_WORLDS[profile.deployment](folder))
        both = await stack.enter_async_context(sinks(folder, tally.struck))
        told_all = {**of.environment(folder, both), **world.environment}
        fleet = Fleet(of.slots(profile.deployment), told_all, folder, tally.struck)
        born = await stack.enter_async_context(nursery(folder, profile.mutant, fleet.heard))
        fleet.born_in(born)
        servers = (world.kafka, world.postgres) if isinstance(world, Scaled) else ()
        stage = Stage(fleet, both, world.books, tally, of.SESSION, asyncio.Lock(), *servers)
        client, stream, customers = _outside(profile, folder, fleet)
        stack.push_async_callback(client.close)
        yield Running(world, stage, client, stream, customers)


def _outside(profile: Profile, folder: Path, fleet: Fleet) -> tuple[Client, Stream, Customers]:
    """Who acts on the product from outside."""

    def chance(of_whom: str) -> Random:
        return Random(f"{profile.seed}:{profile.deployment}:{of_whom}")

    def ports(service: str) -> list[int]:
        return [slot.port for slot in fleet.of(service) if slot.wanted]

    posted, accepted = Journal(folder / POSTED, sync=False), Journal(folder / ACCEPTED, sync=False)
    client = Client(lambda: ports("ingest"), of.WRITE_KEY, posted, accepted, chance("client"))
    allowed = Journal(folder / ALLOWED, sync=False)
    stream = Stream(client, chance("stream"), SystemClock(), allowed, profile.rate)
    return client, stream, Customers(Tail(folder / MAILS), stream, ports, of.ADMIN_KEY, chance("customers"))


async def churn(on: Running, profile: Profile) -> None:
    """The faults, while everybody works; then people answer the mail that was still to come."""
    fleet = on.stage.fleet
    for slot in fleet.slots.values():
        if slot.wanted:
            fleet.start(slot)
    plan = planned(profile.seed, profile.deployment, profile.seconds)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(on.stream.run())
        tasks.create_task(on.customers.run())
        watching = tasks.create_task(progress(on.world, on.stage, on.client))
        await strike(plan, on.stage)
        on.stage.sinks.behave()
        for slot in fleet.slots.values():
            fleet.start(slot)
        on.stream.draws = False
        watching.cancel()
        await became_quiet(on)
        on.customers.stopped = on.stream.stopped = True


async def quiet(on: Running, seconds: float = _QUIET) -> None:
    """Until nothing waits anywhere, seen twice. Raises NotQuietError, saying what waits."""
    calm, found = 0, dict[str, int]()
    deadline = asyncio.get_running_loop().time() + seconds
    while calm < _TWICE:
        try:
            found = await waiting(on.world)
            calm = 0 if found else calm + 1
        except Exception as error:  # noqa: BLE001  a server may be on its way up
            found, calm = {repr(error): 1}, 0
        if asyncio.get_running_loop().time() > deadline:
            raise NotQuietError(told(found))
        say(f"  quiet? {told(found)}")
        await asyncio.sleep(3)


async def became_quiet(on: Running) -> bool:
    """Whether it did; if not, it is said what waits."""
    try:
        await quiet(on)
    except NotQuietError as error:
        say(f"NOT QUIET: {error}")
        return False
    return True


_WORLDS = {"scaled": scaled, "embedded": embedded}
