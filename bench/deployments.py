"""Deployments under measurement: `waymark up` on SQLite; `waymark run` for each service on Kafka and PostgreSQL."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

from bench.cpu import Pids
from bench.lifecycle import migrated
from bench.processes import just, ready, waymark
from bench.servers import ROOT
from bench.session import Session
from deploy.servers.ports import free_port
from shared.keys import credentials
from shared.settings import Settings

_SERVICES = ["ingest", "lifecycle"]


class Deployment(NamedTuple):
    """Where events go in, where lifecycle tells how many it handled, and whose processor time counts."""

    settings: Settings
    intake: int
    lifecycle: int
    processes: dict[str, Pids]

    @property
    def key(self) -> str:
        return credentials(self.settings.data).write


Deployed = Callable[[Session], AbstractAsyncContextManager[Deployment]]


@asynccontextmanager
async def embedded(session: Session) -> AsyncIterator[Deployment]:
    """A fresh one, ready."""
    folder = session.new("embedded")
    settings = Settings(data=folder, config=ROOT / "config", port=free_port(), database_url=None, bus_url=None)
    credentials(folder)
    async with waymark(settings, settings.port, ["up"]) as one:
        for service in _SERVICES:
            await ready(one, f"http://127.0.0.1:{settings.port}/{service}/readyz")
        yield Deployment(settings, settings.port, settings.port, {"waymark": just(one)})


@asynccontextmanager
async def scaled(session: Session) -> AsyncIterator[Deployment]:
    """A fresh one, ready: one process a service."""
    servers, folder = await session.servers(), session.new("scaled")
    database = await servers.database(folder.name)
    settings = servers.settings(folder, database, f"{servers.prefix}{folder.name}.")
    await migrated(settings, _SERVICES)
    await servers.checkpointed()
    intake, lifecycle = free_port(), free_port()
    async with (
        waymark(settings, intake, ["run", "ingest"]) as first,
        waymark(settings, lifecycle, ["run", "lifecycle"]) as second,
    ):
        await ready(first, f"http://127.0.0.1:{intake}/ingest/readyz")
        await ready(second, f"http://127.0.0.1:{lifecycle}/lifecycle/readyz")
        processes = {"ingest": just(first), "lifecycle": just(second), **servers.processes}
        yield Deployment(settings, intake, lifecycle, processes)
    await servers.dropped(database)
