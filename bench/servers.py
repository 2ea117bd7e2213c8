"""Servers: the Kafka and PostgreSQL of WAYMARK_BUS_URL and WAYMARK_DATABASE_URL, else our own, which end with the bench."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg
from sqlalchemy.engine import make_url

from bench.cpu import Pids, family
from bench.errors import InvalidResult
from deploy.servers import Kafka, Postgres, ServerError, start_kafka, start_postgres
from shared.settings import Settings

ROOT = Path(__file__).parent.parent
_STANDING = ROOT / ".servers"
_COPIES = 15
"""From this PostgreSQL on a database is copied by files; before, it always was."""


class Servers(NamedTuple):
    """Where they are; the process ids of those on this machine that we know; whether we started them."""

    database_url: str
    bus_url: str
    pids: Mapping[str, int]
    own: bool

    @property
    def bootstrap(self) -> str:
        return self.bus_url.removeprefix("kafka://")

    @property
    def prefix(self) -> str:
        return f"bench_{os.getpid()}."

    @property
    def processes(self) -> dict[str, Pids]:
        return {name: _family(pid) for name, pid in self.pids.items()}

    def settings(self, folder: Path, database: str, prefix: str, config: Path = ROOT / "config") -> Settings:
        """How our services find them."""
        return Settings(
            data=folder, config=config, database_url=database, bus_url=self.bus_url, topic_prefix=prefix, partitions=4
        )

    async def database(self, name: str, template: str = "template1") -> str:
        """A new database; its address. With `template` (the address of another) a copy of that."""
        name = f"{self.prefix[:-1]}_{name}"
        of = make_url(template).database if "/" in template else template
        how = (
            " STRATEGY FILE_COPY" if of != "template1" and int((await self.version()).split(".")[0]) >= _COPIES else ""
        )
        await self._do(f'CREATE DATABASE "{name}" TEMPLATE "{of}"{how}')
        return make_url(self.database_url).set(database=name).render_as_string(hide_password=False)

    async def dropped(self, url: str) -> None:
        """Remove a database of ours."""
        await self._do(f'DROP DATABASE IF EXISTS "{make_url(url).database}" WITH (FORCE)')

    async def all_dropped(self) -> None:
        """Remove every database of ours, those of rows that failed too."""
        connection = await asyncpg.connect(dsn(self.database_url))
        try:
            for row in await connection.fetch("SELECT datname FROM pg_database"):
                if row["datname"].startswith(f"{self.prefix[:-1]}_"):
                    await connection.execute(f'DROP DATABASE "{row["datname"]}" WITH (FORCE)')
        finally:
            await connection.close()

    async def checkpointed(self) -> None:
        """Write out what earlier rounds left, so that none pays for another."""
        await self._do("CHECKPOINT")

    async def version(self) -> str:
        connection = await asyncpg.connect(dsn(self.database_url))
        try:
            return str(await connection.fetchval("SHOW server_version"))
        finally:
            await connection.close()

    async def _do(self, sql: str) -> None:
        connection = await asyncpg.connect(dsn(self.database_url))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


def _family(pid: int) -> Pids:
    return lambda: family(pid)


def dsn(url: str) -> str:
    """The address as asyncpg reads it."""
    return url.replace("+asyncpg", "")


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    """Those given, or our own in this folder. Raises InvalidResult when they cannot be had."""
    database_url, bus_url = os.environ.get("WAYMARK_DATABASE_URL"), os.environ.get("WAYMARK_BUS_URL")
    if database_url and bus_url:
        yield Servers(database_url, bus_url, _standing(bus_url, database_url), own=False)
        return
    try:
        kafka = await asyncio.to_thread(start_kafka, folder)
        postgres = await asyncio.to_thread(start_postgres, folder)
    except (ServerError, OSError) as error:
        raise InvalidResult(f"no Kafka and PostgreSQL here: {error}") from error
    try:
        pids = {"kafka": kafka.pid or 0, "postgresql": postgres.pid or 0}
        yield Servers(postgres.url("postgres"), kafka.url, pids, own=True)
    finally:
        await asyncio.to_thread(postgres.end)
        await asyncio.to_thread(kafka.stop)


def _standing(bus_url: str, database_url: str) -> dict[str, int]:
    """Those of `make servers` are on this machine: their processor time can be told."""
    if not _STANDING.exists():
        return {}
    kafka, postgres = Kafka(_STANDING), Postgres(_STANDING)
    if kafka.pid is None or postgres.pid is None or kafka.url != bus_url or postgres.url() != database_url:
        return {}
    return {"kafka": kafka.pid, "postgresql": postgres.pid}
