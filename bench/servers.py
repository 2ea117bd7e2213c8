"""On which Kafka and PostgreSQL? Those of WAYMARK_BUS_URL and WAYMARK_DATABASE_URL, else our own, which end with the bench."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg
from sqlalchemy.engine import make_url

from bench.failure import Wrong
from bench.running import ROOT
from deploy.servers import ServerError, start_kafka, start_postgres
from shared.settings import Settings


class Servers(NamedTuple):
    """Where they are; process ids of those we started."""

    database_url: str
    bus_url: str
    pids: dict[str, int]

    async def settings(self, folder: Path, name: str) -> Settings:
        """A database and topics of its own for one round."""
        name = f"bench_{os.getpid()}_{name}"
        connection = await asyncpg.connect(dsn(self.database_url))
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()
        url = make_url(self.database_url).set(database=name).render_as_string(hide_password=False)
        return Settings(
            data=folder, config=ROOT / "config", database_url=url, bus_url=self.bus_url, topic_prefix=f"{name}."
        )

    async def dropped(self, settings: Settings) -> None:
        """Remove the round's database; its topics go with the broker, or stay on one that is not ours."""
        connection = await asyncpg.connect(dsn(self.database_url))
        await connection.execute(f'DROP DATABASE IF EXISTS "{make_url(settings.database).database}" WITH (FORCE)')
        await connection.close()


def dsn(url: str) -> str:
    """The address as asyncpg reads it."""
    return url.replace("+asyncpg", "")


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    """Those given, or our own in this folder. Raises Wrong when they cannot be had."""
    database_url, bus_url = os.environ.get("WAYMARK_DATABASE_URL"), os.environ.get("WAYMARK_BUS_URL")
    if database_url and bus_url:
        yield Servers(database_url, bus_url, {})
        return
    try:
        kafka = await asyncio.to_thread(start_kafka, folder)
        postgres = await asyncio.to_thread(start_postgres, folder)
    except (ServerError, OSError) as error:
        raise Wrong(f"no Kafka and PostgreSQL here: {error}") from error
    try:
        pids = {"kafka": kafka.pid or 0, "postgresql": postgres.pid or 0}
        yield Servers(postgres.url("postgres"), kafka.url, pids)
    finally:
        await asyncio.to_thread(postgres.end)
        await asyncio.to_thread(kafka.stop)
