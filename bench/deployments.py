"""How is each deployment run? As a user would: `waymark up` on SQLite; `waymark run` for each service on Kafka and PostgreSQL."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from bench.cpu import family
from bench.running import ROOT, Pids, Running, process, ready
from bench.servers import Servers
from deploy.servers.ports import free_port
from shared.keys import credentials
from shared.settings import Settings
from waymark import histories

_SERVICES = ["ingest", "lifecycle"]


def deployment(name: str, servers: Servers | None, folder: Path) -> AbstractAsyncContextManager[Running]:
    """A fresh one, ready."""
    return _embedded(folder) if servers is None else _scaled(servers, folder, name)


@asynccontextmanager
async def _embedded(folder: Path) -> AsyncIterator[Running]:
    settings = Settings(data=folder, config=ROOT / "config", port=free_port(), database_url=None, bus_url=None)
    credentials(folder)
    async with process(settings, _environment(settings), ["up"]) as one:
        for service in _SERVICES:
            await ready(one, settings.port, service)
        yield Running(settings, settings.port, settings.port, {"waymark": lambda: [one.pid]})


@asynccontextmanager
async def _scaled(servers: Servers, folder: Path, name: str) -> AsyncIterator[Running]:
    settings = await servers.settings(folder, name)
    credentials(folder)
    await asyncio.to_thread(histories.migrate, settings, _SERVICES)
    intake, lifecycle = free_port(), free_port()
    async with (
        process(settings, _environment(settings, intake), ["run", "ingest"]) as first,
        process(settings, _environment(settings, lifecycle), ["run", "lifecycle"]) as second,
    ):
        await ready(first, intake, "ingest")
        await ready(second, lifecycle, "lifecycle")
        own: dict[str, Pids] = {"ingest": lambda: [first.pid], "lifecycle": lambda: [second.pid]}
        yield Running(settings, intake, lifecycle, own | {name: _family(pid) for name, pid in servers.pids.items()})


def _family(pid: int) -> Pids:
    return lambda: family(pid)


def _environment(settings: Settings, port: int | None = None) -> dict[str, str]:
    given = {
        "WAYMARK_DATA": str(settings.data),
        "WAYMARK_CONFIG": str(settings.config),
        "WAYMARK_DATABASE_URL": settings.database_url,
        "WAYMARK_BUS_URL": settings.bus_url,
        "WAYMARK_TOPIC_PREFIX": settings.topic_prefix,
        "WAYMARK_PORT": str(settings.port if port is None else port),
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("WAYMARK_")}
    return others | {name: value for name, value in given.items() if value}
