"""Storage: opens the database and the log that the settings name. The only module that knows which ones they are."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from shared.bus.embedded import EmbeddedBus, LogRetention
from shared.bus.kafka import KafkaBus
from shared.bus.outbox import LogOutbox
from shared.bus.protocol import Bus
from shared.bus.relay import Relay
from shared.clock import Clock
from shared.contracts.topics import TOPICS
from shared.db.postgres import STILL, PostgresDatabase
from shared.db.protocol import Database
from shared.db.sqlite import SqliteDatabase
from shared.failures import Refused
from shared.files import private_file, private_folder
from shared.settings import Settings
from shared.shutdown import DATABASE, LOG, Shutdown

ACCESS_SCHEMA = "access"
"""Where keys stand on PostgreSQL: the processes of every service read them."""
ACCESS_POOL = 2
"""Connections that a process keeps for keys, sessions and its clock's witness: each asks every few seconds."""
_NAMES = [topic.name for topic in TOPICS]


class Storage(NamedTuple):
    """One service's database, the log it reads and publishes to, who may ask (`access`), and what works on the log's rows.

    Scaled out a relay carries them to Kafka; embedded the readers read them in place, and old ones are deleted.
    """

    database: Database
    bus: Bus
    access: Database
    relay: Relay | None = None
    retention: LogRetention | None = None


@asynccontextmanager
async def open_storage(
    settings: Settings, services: Sequence[str], clock: Clock, owner: str, shutdown: Shutdown | None = None
) -> AsyncIterator[dict[str, Storage]]:
    """Open the storage of these services. Raises Refused for an invalid URL, Retry when nothing answers there."""
    shutdown = shutdown or Shutdown()
    if settings.bus_url is None:
        async with _embedded(settings, clock, shutdown) as store:
            yield {name: store if name == services[0] else store._replace(retention=None) for name in services}
    else:
        async with _on_kafka(settings, settings.bus_url, services, clock, owner, shutdown) as stores:
            yield stores


@asynccontextmanager
async def open_access(settings: Settings, clock: Clock) -> AsyncIterator[Database]:
    """The database of keys alone, beside processes that run: nothing is published here, so SQLite's own locks are enough."""
    async with open_database(settings, ACCESS_SCHEMA, clock) as database:
        yield database


@asynccontextmanager
async def open_database(
    settings: Settings, schema: str, clock: Clock, *, still: bool = False
) -> AsyncIterator[Database]:
    """A database beside processes that run, of one schema where it has any; nothing is published from here.

    `still`: a snapshot shows it as it was at one moment, however long it is read.
    """
    log = LogOutbox(lambda _topic: 1, clock)
    database: Database
    if check_database_url(settings) == "sqlite":
        database = SqliteDatabase(_database_file(settings), log)
    else:
        database = PostgresDatabase(settings.database, schema, log, more=STILL if still else None)
    try:
        yield database
    finally:
        await database.close()


def check_urls(settings: Settings) -> None:
    """Check the URLs before anything is opened. Raises Refused for a combination that cannot work."""
    url = check_database_url(settings)
    if settings.bus_url is None and url != "sqlite":
        raise Refused("WAYMARK_DATABASE_URL is a server but WAYMARK_BUS_URL is unset: set it to kafka://HOST:PORT")
    if settings.bus_url is not None and not settings.bus_url.startswith("kafka://"):
        raise Refused(
            f"WAYMARK_BUS_URL: '{settings.bus_url.partition(':')[0]}' is not a log we know; use kafka://HOST:PORT"
        )
    if settings.bus_url is not None and url == "sqlite":
        raise Refused(
            "WAYMARK_BUS_URL is Kafka but the database is a SQLite file: set WAYMARK_DATABASE_URL to PostgreSQL"
        )


def check_database_url(settings: Settings) -> str:
    """The database's driver. Raises Refused for one that is not supported."""
    try:
        driver = make_url(settings.database).drivername
    except ArgumentError:
        raise Refused("WAYMARK_DATABASE_URL is not a URL; use sqlite:///FILE or postgresql+asyncpg://...") from None
    if driver not in {"sqlite", "postgresql+asyncpg"}:
        raise Refused(f"WAYMARK_DATABASE_URL: cannot use '{driver}'; use sqlite:///FILE or postgresql+asyncpg://...")
    return driver


def sole_user(settings: Settings) -> AbstractContextManager[None]:
    """While the block runs no other process uses the SQLite file. Raises Refused where one does."""
    return _FileLock(_database_file(settings))


def _database_file(settings: Settings) -> Path:
    return Path(make_url(settings.database).database or "waymark.db")


@asynccontextmanager
async def _embedded(settings: Settings, clock: Clock, shutdown: Shutdown) -> AsyncIterator[Storage]:
    path = _database_file(settings)
    private_folder(settings.data)
    log = LogOutbox(lambda _topic: 1, clock)
    with _FileLock(path):
        database = SqliteDatabase(path, log)
        bus = EmbeddedBus(database, log, 1)
        try:
            yield Storage(database, bus, database, retention=LogRetention(database, clock))
        finally:
            await shutdown.step("log", bus.close(), LOG)
            await shutdown.step("database", database.close(), DATABASE)


@asynccontextmanager
async def _on_kafka(
    settings: Settings, bus_url: str, services: Sequence[str], clock: Clock, owner: str, shutdown: Shutdown
) -> AsyncIterator[dict[str, Storage]]:
    bus = KafkaBus(
        bus_url.removeprefix("kafka://"), settings.topic_prefix, settings.session_seconds, settings.archive_days
    )
    stores: dict[str, Storage] = {}
    access = PostgresDatabase(settings.database, ACCESS_SCHEMA, LogOutbox(bus.partitions, clock), ACCESS_POOL)
    try:
        await bus.open(_NAMES, settings.partitions)
        for service in services:
            log = LogOutbox(bus.partitions, clock)
            # the audit log is written in the transaction of what it tells: each service finds its table behind its own
            database = PostgresDatabase(settings.database, f"{service}, {ACCESS_SCHEMA}", log)
            relay = Relay(service, database, bus.producer, log.notifier, clock, owner)
            stores[service] = Storage(database, bus, access, relay)
        yield stores
    finally:
        await shutdown.step("log", bus.close(), LOG)
        databases = {name: store.database for name, store in stores.items()} | {ACCESS_SCHEMA: access}
        closing = (shutdown.step(name, database.close(), DATABASE) for name, database in databases.items())
        await asyncio.gather(*closing)


class _FileLock:
    """The lock file beside the database file: two processes on one SQLite file would fight over its log."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path.with_suffix(".lock")

    def __enter__(self) -> None:
        private_file(self._path)
        self._file = os.open(self._path, os.O_RDWR)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise Refused(
                f"another Waymark uses {self._path.parent}: stop it, or set WAYMARK_DATA to another folder"
            ) from None

    def __exit__(self, *_error: object) -> None:
        os.close(self._file)
