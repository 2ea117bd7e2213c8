"""Rows `intake-*`: events taken in by one worker with 1, 10 and 100 in a post; every accepted event must stand in Kafka."""

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import NamedTuple

import msgspec

from bench.cpu import Pids, spent
from bench.end_state import demand
from bench.lifecycle import migrated
from bench.load_control import Order, Posted, prepared
from bench.peers.venvs import PEERS, python_of, versions
from bench.processes import environment, just, ready, running, waymark
from bench.rounds import Figures
from bench.session import Session
from bench.topics import PARTITIONS, ends, made
from deploy.servers.ports import free_port
from shared.contracts.topics import USAGE_RAW
from shared.keys import credentials

SIZES = (100, 10, 1)
_CONNECTIONS = 32
_BODIES = 60
_WARM = 0.3


class Door(NamedTuple):
    """Where to post, with which key, into which topic (None: nowhere), and whose processor time counts."""

    port: int
    key: str
    topic: str | None
    processes: dict[str, Pids]


Opened = Callable[[Session], AbstractAsyncContextManager[Door]]


async def taken(opened: Opened, session: Session, _: int) -> Figures:
    """One round: warm up, then each size; the topic is counted before there is a figure."""
    servers, figures, total = await session.servers(), Figures(), 0
    async with opened(session) as door:
        for size in SIZES:
            total += (await _posted(door, size, _WARM)).accepted
            before = spent(door.processes)
            posted = await _posted(door, size, session.plan.posting)
            total += posted.accepted
            figures |= _figures(posted, size, before, spent(door.processes))
        if door.topic is not None:
            demand({"in Kafka": sum((await ends(servers, door.topic)).values())}, {"in Kafka": total})
    return figures


async def _posted(door: Door, size: int, seconds: float) -> Posted:
    order = Order(door.port, door.key, "in", _BODIES * size, size=size, seconds=seconds, connections=_CONNECTIONS)
    async with prepared(order) as go:
        posted = await go()
    if door.topic is not None:
        demand({"accepted": posted.accepted}, {"accepted": posted.posts * size})
    return posted


def _figures(posted: Posted, size: int, before: dict[str, float], after: dict[str, float]) -> Figures:
    events = posted.posts * size
    name = "events/s" if size == SIZES[0] else f"events/s at {size}"
    cost = {f"cpu us/event {who} at {size}": (after[who] - before[who]) / events * 1e6 for who in after}
    return {name: events / (posted.ended - posted.begun), **cost}


@asynccontextmanager
async def ours(session: Session) -> AsyncIterator[Door]:
    """The product's intake, alone in its process."""
    servers, folder, port = await session.servers(), session.new("intake"), free_port()
    prefix = f"{servers.prefix}{folder.name}."
    settings = servers.settings(folder, servers.database_url, prefix)
    words = [sys.executable, "-m", "bench.capture"]
    async with running(words, environment(settings, port), folder / "log") as child:
        await ready(child, f"http://127.0.0.1:{port}/v1/projects/{credentials(folder).write}/settings")
        processes = {"client": just(child), **servers.processes}
        yield Door(port, credentials(folder).write, prefix + USAGE_RAW.name, processes)


@asynccontextmanager
async def service(session: Session) -> AsyncIterator[Door]:
    """The whole ingest service, which also archives and dedupes in the same process meanwhile."""
    servers, folder, port = await session.servers(), session.new("ingest"), free_port()
    prefix = f"{servers.prefix}{folder.name}."
    settings = servers.settings(folder, await servers.database(folder.name), prefix)
    await migrated(settings, ["ingest"])
    async with waymark(settings, port, ["run", "ingest"]) as child:
        await ready(child, f"http://127.0.0.1:{port}/ingest/readyz")
        processes = {"client": just(child), **servers.processes}
        yield Door(port, credentials(folder).write, prefix + USAGE_RAW.name, processes)
    await servers.dropped(settings.database)


@asynccontextmanager
async def _web(program: str, session: Session) -> AsyncIterator[Door]:
    servers, folder, port = await session.servers(), session.new(program), free_port()
    topic = await made(servers, f"{folder.name}.raw", PARTITIONS)
    job = msgspec.json.encode({"bootstrap": servers.bootstrap, "topic": topic, "port": port}).decode()
    words = [str(await python_of("web")), str(PEERS / f"web/{program}.py")]
    async with running(words, {**os.environ, "BENCH_JOB": job}, folder / "log") as child:
        await ready(child, f"http://127.0.0.1:{port}/livez")
        yield Door(port, "none", None if program == "bare" else topic, {"client": just(child), **servers.processes})


textbook = partial(_web, "textbook")
bare = partial(_web, "bare")


async def web_prepared(_: Session) -> str:
    """Their virtual environment; which versions."""
    await python_of("web")
    return versions("web")
