"""What can happen? Every kind of fault, how often a minute, and how it is done."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import asyncpg

from deploy.servers import Kafka, Postgres
from tests.chaos import moods
from tests.chaos.books import Books
from tests.chaos.fleet import Fleet, Slot
from tests.chaos.points import ACCEPTED, AFTER, INSIDE, NO_RETURN, signal_of
from tests.chaos.sinking import Sinks
from tests.chaos.tally import Tally

SERVICES = ("ingest", "lifecycle", "notify", "advocacy", "lifecycle")
"""Who is hit, in turn: lifecycle more often, it has the most replicas."""


class Stage(NamedTuple):
    """Everything a fault can get at. `session` is how long a group waits for a member that does not answer."""

    fleet: Fleet
    sinks: Sinks
    books: Books
    tally: Tally
    session: float
    servers: asyncio.Lock
    kafka: Kafka | None = None
    postgres: Postgres | None = None


class Blow(NamedTuple):
    """One fault as planned: two numbers decide whom it hits and how hard."""

    at: float
    kind: str
    pick: int
    force: float


Do = Callable[[Stage, Blow], Awaitable[None]]


def _victim(stage: Stage, blow: Blow, *services: str) -> Slot | None:
    """The longest alive of the service whose turn it is; or of whichever has somebody."""
    among = services or SERVICES
    turn = blow.pick % len(among)
    for service in among[turn:] + among[:turn]:
        if alive := stage.fleet.alive(service):
            return alive[0]
    return None


async def _kill(stage: Stage, blow: Blow) -> None:
    victim = _victim(stage, blow)
    if victim and stage.fleet.send(victim, signal.SIGKILL):
        stage.tally.struck(blow.kind)


def _arm(*services: str) -> Do:
    """The exit itself counts, when it comes."""

    async def arm(stage: Stage, blow: Blow) -> None:
        if victim := _victim(stage, blow, *services):
            stage.fleet.send(victim, signal_of(blow.kind))

    return arm


def _freeze(least: float, *, beyond_session: bool) -> Do:
    async def freeze(stage: Stage, blow: Blow) -> None:
        victim = _victim(stage, blow)
        if victim is None or not stage.fleet.send(victim, signal.SIGSTOP):
            return
        victim.frozen = True
        stage.tally.struck(blow.kind)
        await asyncio.sleep(least + blow.force + (stage.session + 1 if beyond_session else 0))
        stage.fleet.send(victim, signal.SIGCONT)
        victim.frozen = False

    return freeze


def _cut(share: float) -> Do:
    """Backends end as if the network had: all of them, or some."""
    chosen = "" if share >= 1 else f" AND random() < {share}"
    statement = (
        "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity "
        f"WHERE application_name = 'waymark' AND datname = current_database(){chosen}"
    )

    async def cut(stage: Stage, blow: Blow) -> None:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            if (await stage.books.rows("public", statement))[0]["n"]:
                stage.tally.struck(blow.kind)

    return cut


def _on_server(of: Callable[[Stage], Kafka | Postgres | None], hurt: Callable[..., None]) -> Do:
    """One server is away at a time, and the next is hurt when all are well again."""

    async def away(stage: Stage, blow: Blow) -> None:
        server = of(stage)
        if server is None:
            return
        async with stage.servers:
            await asyncio.to_thread(hurt, server)
            stage.tally.struck(blow.kind)
            await asyncio.sleep(blow.force)
            await asyncio.to_thread(server.start)

    return away


async def _pause_broker(stage: Stage, blow: Blow) -> None:
    if stage.kafka is None:
        return
    async with stage.servers:
        stage.kafka.pause()
        stage.tally.struck(blow.kind)
        await asyncio.sleep(0.5 + 2 * blow.force)
        stage.kafka.resume()


async def _rebalance(stage: Stage, blow: Blow) -> None:
    """A replica more, or one less; the first of each service stays."""
    others = [slot for slot in stage.fleet.slots.values() if slot != stage.fleet.of(slot.service)[0]]
    if not others:
        return
    slot = others[blow.pick % len(others)]
    if slot.wanted:
        stage.fleet.stop(slot)
    else:
        stage.fleet.start(slot)
    stage.tally.struck(blow.kind)


async def _mood(stage: Stage, blow: Blow) -> None:
    """The message it strikes counts."""
    stage.sinks.order(blow.kind)


def _kafka(stage: Stage) -> Kafka | None:
    return stage.kafka


def _postgres(stage: Stage) -> Postgres | None:
    return stage.postgres


class Kind(NamedTuple):
    """How it is done, and how often a minute it is planned in each deployment."""

    do: Do
    scaled: float
    embedded: float = 0.0


KINDS: dict[str, Kind] = {
    "kill -9": Kind(_kill, 14, 8),
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
    moods.HANGS: Kind(_mood, 3, 3),
    moods.DROPS: Kind(_mood, 5, 7),
    moods.LATER: Kind(_mood, 9, 12),
    moods.NEVER: Kind(_mood, 5, 7),
    moods.SLOW: Kind(_mood, 4, 6),
    moods.FAILS: Kind(_mood, 9, 12),
    moods.LATE: Kind(_mood, 0.7, 0.7),
    moods.SILENT: Kind(_mood, 0.7, 0.7),
    moods.RESET: Kind(_mood, 7, 10),
}
