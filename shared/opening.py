"""Which database, which log? The only place that knows; everybody else is given one and asks nothing."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from shared.bus.embedded import EmbeddedBus
from shared.bus.kafka import KafkaBus
from shared.bus.outgoing import OutgoingLog
from shared.bus.protocol import Bus
from shared.bus.relay import Relay
from shared.bus.upkeep import Upkeep
from shared.clock import Clock
from shared.contracts.topics import TOPICS
from shared.db.postgres import PostgresDatabase
from shared.db.protocol import Database
from shared.db.sqlite import SqliteDatabase
from shared.ending import DATABASE, LOG, Ending
from shared.failures import Refused
from shared.settings import Settings

_NAMES = [topic.name for topic in TOPICS]


class Store(NamedTuple):
    """One service's database, the log it reads and publishes to, and who looks after the log's rows.

    Scaled out a relay carries them to Kafka; embedded the readers read them there, and upkeep deletes the old ones.
    """

    database: Database
    bus: Bus
    relay: Relay | None = None
    upkeep: Upkeep | None = None


@asynccontextmanager
async def opened(
    settings: Settings, services: Sequence[str], clock: Clock, owner: str, ending: Ending | None = None
) -> AsyncIterator[dict[str, Store]]:
    """Open the stores of these services. Raises Refused for a URL that cannot be, Retry when nothing answers there."""
    ending = ending or Ending()
    if settings.bus_url is None:
        async with _embedded(settings, clock, ending) as store:
            yield {name: store if name == services[0] else store._replace(upkeep=None) for name in services}
    else:
        async with _on_kafka(settings, settings.bus_url, services, clock, owner, ending) as stores:
            yield stores


def check(settings: Settings) -> None:
    """Refuse what cannot work, before anything is touched."""
    url = check_database(settings)
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


def check_database(settings: Settings) -> str:
    """The database's driver. Raises Refused where it is none of ours."""
    try:
        driver = make_url(settings.database).drivername
    except ArgumentError:
        raise Refused("WAYMARK_DATABASE_URL is not a URL; use sqlite:///FILE or postgresql+asyncpg://...") from None
    if driver not in {"sqlite", "postgresql+asyncpg"}:
        raise Refused(f"WAYMARK_DATABASE_URL: cannot use '{driver}'; use sqlite:///FILE or postgresql+asyncpg://...")
    return driver


@asynccontextmanager
async def _embedded(settings: Settings, clock: Clock, ending: Ending) -> AsyncIterator[Store]:
    path = Path(make_url(settings.database).database or "waymark.db")
    log = OutgoingLog(lambda _topic: 1, clock)
    with _alone(path):
        database = SqliteDatabase(path, log)
        bus = EmbeddedBus(database, log, 1)
        try:
            yield Store(database, bus, upkeep=Upkeep(database, clock))
        finally:
            await ending.step("log", bus.close(), LOG)
            await ending.step("database", database.close(), DATABASE)


@asynccontextmanager
async def _on_kafka(
    settings: Settings, bus_url: str, services: Sequence[str], clock: Clock, owner: str, ending: Ending
) -> AsyncIterator[dict[str, Store]]:
    bus = KafkaBus(bus_url.removeprefix("kafka://"), settings.topic_prefix, settings.session_seconds)
    stores: dict[str, Store] = {}
    try:
        await bus.open(_NAMES, settings.partitions)
        for service in services:
            log = OutgoingLog(bus.partitions, clock)
            database = PostgresDatabase(settings.database, service, log)
            stores[service] = Store(database, bus, Relay(service, database, bus.sender, log.wakes, clock, owner))
        yield stores
    finally:
        await ending.step("log", bus.close(), LOG)
        closing = (ending.step(name, store.database.close(), DATABASE) for name, store in stores.items())
        await asyncio.gather(*closing)


class _alone:  # noqa: N801  a context manager, used like a function
    """Holds the lock beside the database file: two processes on one SQLite file would fight over its log."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path.with_suffix(".lock")

    def __enter__(self) -> None:
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise Refused(
                f"another Waymark uses {self._path.parent}: stop it, or set WAYMARK_DATA to another folder"
            ) from None

    def __exit__(self, *_error: object) -> None:
        os.close(self._file)
