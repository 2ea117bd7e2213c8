"""Commands of backups: `waymark backup`, `waymark restore`, `waymark migrate --from URL --to URL`."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy.engine import make_url

from shared.bus.kafka import KafkaBus
from shared.contracts.topics import TOPICS, USAGE, USAGE_RAW
from shared.failures import Refused
from shared.settings import Settings
from shared.storage import check_database_url, sole_user
from waymark import compatibility
from waymark.backup import conversion, postgres, sqlite
from waymark.backup.content import POSITIONS, Digest
from waymark.backup.file import BackupFile, insert_rows, named, sqlite_digest
from waymark.migrations import OWNERS, NewerDatabase, Revisions, histories_of


async def backup(settings: Settings, to: Path, now: datetime) -> Path:
    """Write a backup of the settings' database to a file, or into a folder: where it is. Services may go on meanwhile."""
    file = named(to, now)
    if check_database_url(settings) == "sqlite":
        await asyncio.to_thread(sqlite.save, _file(settings), file, now)
    else:
        await postgres.save(settings.database, file, now)
    return file


async def restore(settings: Settings, file: Path, now: datetime, *, replace: bool) -> dict[str, Digest]:
    """Put a backup in the place of the settings' database, of either kind: the digests of what stands there now.

    Raises Refused where the backup is not whole or of a newer version, a process uses the database, or it holds data.
    """
    is_sqlite = check_database_url(settings) == "sqlite"
    with BackupFile(file) as found:
        _refuse_newer(found)
        if is_sqlite:
            with sole_user(settings):
                await _to_sqlite(found, settings, now, replace=replace)
                compatibility.migrate(settings, list(OWNERS))
        else:
            await postgres.refuse_if_used(settings.database)
            await _to_postgres(found, settings, now, replace=replace)
            await asyncio.to_thread(compatibility.migrate, settings, list(OWNERS))
        return found.description.tables


async def move(settings: Settings, source: str, target: str, now: datetime) -> dict[str, Digest]:
    """Move a database to another one, which must be empty: the digest of each service's tables, equal in both.

    Raises Refused while a process uses either of them.
    """
    old = settings.model_copy(update={"database_url": source})
    new = settings.model_copy(update={"database_url": target})
    kind = check_database_url(old)
    check_database_url(new)
    if source == target:
        raise Refused("--from and --to name the same database")
    with tempfile.TemporaryDirectory(prefix="waymark-move-") as folder:
        file = Path(folder) / "moving.backup"
        with _unused(old) if kind == "sqlite" else nullcontext():
            if kind != "sqlite":
                await postgres.refuse_if_used(source)
            await backup(old, file, now)
            await restore(new, file, now, replace=False)
        with BackupFile(file) as found, _converted(found, folder) as readable:
            return await asyncio.to_thread(conversion.digests, readable)


@contextmanager
def _unused(settings: Settings) -> Iterator[None]:
    if not _file(settings).is_file():
        raise Refused(f"there is no database at {_file(settings)}")
    with sole_user(settings):
        yield


def _refuse_newer(found: BackupFile) -> None:
    newer = [
        said
        for history in histories_of(OWNERS)
        if (revision := found.revision(history.schema, history.name))
        for said in Revisions.of(history).newer([revision])
    ]
    if newer:
        raise NewerDatabase(sorted(set(newer)))


async def _to_sqlite(found: BackupFile, settings: Settings, now: datetime, *, replace: bool) -> None:
    if found.description.kind == "sqlite":
        await asyncio.to_thread(sqlite.restore, found, _file(settings), now, replace=replace)
        return
    _refuse_older(found)
    await _refuse_unread_events(found, settings)
    write = partial(_write_embedded, found)
    await asyncio.to_thread(sqlite.put_in_place, _file(settings), write, now, replace=replace)


def _write_embedded(found: BackupFile, file: Path) -> None:
    """The tables of one process's file, from PostgreSQL's."""
    compatibility.migrate(Settings(database_url=f"sqlite:///{file}"), list(OWNERS))
    wanted = conversion.digests(found)
    with closing(sqlite3.connect(file)) as database:
        with database:
            for table, rows in conversion.to_embedded(found).items():
                database.execute(f'DELETE FROM "{table.name}"')
                insert_rows(database, table.name, table.columns, rows)
            for name, digest in wanted.items():
                if name != USAGE.name and sqlite_digest(database, name, POSITIONS) != digest:
                    raise Refused(f"{name} is not what was to be restored: nothing was changed")
        database.execute("PRAGMA journal_mode=DELETE")


async def _to_postgres(found: BackupFile, settings: Settings, now: datetime, *, replace: bool) -> None:
    url = settings.database
    if found.description.kind == "postgresql":
        await postgres.empty(url, now, replace=replace)
        await postgres.restore(found, url)
        return
    with tempfile.TemporaryDirectory(prefix="waymark-restore-") as folder, _converted(found, folder) as readable:
        partitions = await _partitions(settings)
        await postgres.empty(url, now, replace=replace)
        heads = {(one.schema, one.name): Revisions.of(one).head for one in histories_of(OWNERS)}
        await postgres.migrate_to(url, lambda history: heads[history.schema, history.name])
        contents = await asyncio.to_thread(conversion.to_scaled, readable, partitions)
        wanted = await asyncio.to_thread(conversion.digests, readable)
        digests = {(table.schema, table.name): wanted[table.name] for table in contents if table.name in wanted}
        await postgres.fill(url, contents, digests, POSITIONS)


@contextmanager
def _converted(found: BackupFile, folder: str) -> Iterator[BackupFile]:
    """The backup with tables of this version: an SQLite file is migrated in a copy."""
    if found.description.kind != "sqlite":
        _refuse_older(found)
        yield found
        return
    place = Settings(database_url=f"sqlite:///{folder}/migrated.db")
    if not _file(place).exists():
        sqlite.restore(found, _file(place), found.description.made_at, replace=False)
        compatibility.migrate(place, list(OWNERS))
    migrated = Path(folder) / "migrated.backup"
    if not migrated.exists():
        sqlite.save(_file(place), migrated, found.description.made_at)
    with BackupFile(migrated) as readable:
        yield readable


def _refuse_older(found: BackupFile) -> None:
    for history in histories_of(OWNERS):
        if (revision := found.revision(history.schema, history.name)) != Revisions.of(history).head:
            raise Refused(
                f"the tables of {history.name} in {found.path} are of revision {revision}: run `waymark migrate` on that "
                "database first"
            )


async def _partitions(settings: Settings) -> int:
    """Into how many partitions the log is dealt. Raises Refused for topics that are in use, or of different numbers."""
    if settings.bus_url is None:
        return settings.partitions
    names = [topic.name for topic in TOPICS]
    bus = KafkaBus(settings.bus_url.removeprefix("kafka://"), settings.topic_prefix, settings.session_seconds)
    try:
        await bus.open(names, settings.partitions)
        numbers = {bus.partitions(name) for name in names}
        used = sorted({partition.topic for partition, bounds in (await bus.bounds(names)).items() if bounds.end > 0})
    finally:
        await bus.close()
    if used:
        raise Refused(f"Kafka's topics are in use ({', '.join(used)}): set WAYMARK_TOPIC_PREFIX to one of its own")
    if len(numbers) != 1:
        raise Refused(f"Kafka's topics have different numbers of partitions: {sorted(numbers)}")
    return numbers.pop()


async def _refuse_unread_events(found: BackupFile, settings: Settings) -> None:
    """Events that clients posted stand in Kafka only, until ingest has read them."""
    cursors = found.rows(next(one for one in found.tables() if one[:2] == ("ingest", "consumer_cursor")))
    raw = [row for row in cursors if row["topic"] == USAGE_RAW.name]
    if settings.bus_url is None:
        if not any(row["owner"] for row in raw):
            return  # no process has read a log there yet, as after a move that was only tried
        raise Refused(
            "set WAYMARK_BUS_URL to the Kafka of that database: whether it holds unread events, only it can say"
        )
    bus = KafkaBus(settings.bus_url.removeprefix("kafka://"), settings.topic_prefix, settings.session_seconds)
    try:
        await bus.open([USAGE_RAW.name], settings.partitions)
        bounds = await bus.bounds([USAGE_RAW.name])
    finally:
        await bus.close()
    read = {row["partition"]: row["next_offset"] for row in raw}
    for partition, known in bounds.items():
        if known.end > int(read.get(partition.number) or 0):
            raise Refused(
                f"ingest has not read all of {partition.topic}[{partition.number}]: let it run until readyz shows no lag"
            )


def _file(settings: Settings) -> Path:
    return Path(make_url(settings.database).database or "waymark.db")
