"""PostgreSQL side of backups: every table of our schemas from one snapshot, and the way back in one transaction."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from shared.failures import Refused
from waymark.backup.content import Digest, Digester, Row, StoredTable, Value
from waymark.backup.file import BackupFile, describe, insert_rows, new_file
from waymark.backup.sqlite import WITHOUT_DATA
from waymark.migrations import OWNERS, History, histories_of, upgrade

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PREFETCH = 2000
_COLUMNS = """
SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position
"""
_NUMBERED = """
SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2 AND column_default LIKE 'nextval(%'
"""
_PROCESSES = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'waymark'
"""


def schemas() -> list[str]:
    """The schemas of this version."""
    return sorted({history.schema for history in histories_of(OWNERS)})


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the database of an SQLAlchemy URL."""
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn, timeout=10, server_settings={"application_name": "waymark backup"})
    try:
        yield connection
    finally:
        await connection.close()


async def save(url: str, to: Path, now: datetime) -> None:
    """Write a backup of a database in use or not. Raises Refused where none of our tables is there."""
    with new_file(to) as partial:
        with closing(sqlite3.connect(partial)) as file:
            async with (
                connected(url) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await _copy_out(connection, file)
            file.commit()
        await asyncio.to_thread(describe, partial, "postgresql", now)


async def _copy_out(connection: asyncpg.Connection, file: sqlite3.Connection) -> None:
    found = await tables(connection)
    if not found:
        raise Refused("there are no tables of Waymark in that database")
    for table in found:
        name = f"{table.schema}.{table.name}"
        file.execute(f'CREATE TABLE "{name}" ({_listed(table.columns)})')
        async for chunk in _chunks(connection, table):
            insert_rows(file, name, table.columns, chunk)


async def tables(connection: asyncpg.Connection) -> list[StoredTable]:
    """Every table in our schemas, those of revisions too."""
    found = await connection.fetch(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY($1) ORDER BY 1, 2", schemas()
    )
    return [
        StoredTable(schema, name, tuple(row["column_name"] for row in await connection.fetch(_COLUMNS, schema, name)))
        for schema, name in found
    ]


async def _chunks(connection: asyncpg.Connection, table: StoredTable) -> AsyncIterator[list[Row]]:
    cursor = await connection.cursor(f'SELECT {_listed(table.columns)} FROM "{table.schema}"."{table.name}"')
    while records := await cursor.fetch(_PREFETCH):
        yield [{name: _stored(value) for name, value in record.items()} for record in records]


def _stored(value: Any) -> Value:
    if isinstance(value, datetime):
        return (value - _EPOCH) // _MICROSECOND
    if isinstance(value, bool):
        return int(value)
    return value  # type: ignore[no-any-return]  # what else our columns hold is alike on both databases


async def digest(connection: asyncpg.Connection, table: StoredTable, without: frozenset[str] = frozenset()) -> Digest:
    """The digest of a table as it stands there, inside a transaction."""
    digester = Digester(table.columns, without)
    async for chunk in _chunks(connection, table):
        for row in chunk:
            digester.add(row)
    return digester.digest()


async def refuse_if_used(url: str) -> None:
    """Raises Refused while a Waymark process is connected to that database."""
    async with connected(url) as connection:
        if used := await connection.fetchval(_PROCESSES):
            raise Refused(f"Waymark runs on that database ({used} connections): stop every process first")


async def empty(url: str, now: datetime, *, replace: bool) -> list[str]:
    """Make room: our schemas must hold no data, or with `replace` get other names, which are returned."""
    async with connected(url) as connection, connection.transaction():
        holding = {table.schema for table in await tables(connection) if await _holds_data(connection, table)}
        if holding and not replace:
            raise Refused(
                f"the database holds data ({', '.join(sorted(holding))}): restore into an empty one, or say --replace "
                "(what is there is kept under other names)"
            )
        there = {row["nspname"] for row in await connection.fetch("SELECT nspname FROM pg_namespace")}
        renamed = []
        for schema in sorted(there & {*schemas()}) if holding else ():
            renamed.append(f"{schema}_replaced_{now:%Y%m%d_%H%M%S}")
            await connection.execute(f'ALTER SCHEMA "{schema}" RENAME TO "{renamed[-1]}"')
        return renamed


async def _holds_data(connection: asyncpg.Connection, table: StoredTable) -> bool:
    if table.name in WITHOUT_DATA or table.name.endswith("_version"):
        return False
    return bool(await connection.fetchval(f'SELECT EXISTS (SELECT FROM "{table.schema}"."{table.name}")'))


async def migrate_to(url: str, revision_of: Callable[[History], str | None]) -> None:
    """Make the tables of these revisions; histories without one are left out."""
    for history in histories_of(OWNERS):
        if revision := revision_of(history):
            await asyncio.to_thread(upgrade, url, history, revision)


async def restore(backup: BackupFile, url: str) -> None:
    """Fill empty tables of the backup's revisions with its rows. Raises Refused where they are not the same afterwards."""
    await migrate_to(url, lambda history: backup.revision(history.schema, history.name))
    digests = {
        (table.schema, table.name): backup.description.tables[f"{table.schema}.{table.name}"]
        for table in backup.tables()
    }
    await fill(url, {table: backup.rows(table) for table in backup.tables()}, digests)


Contents = Mapping[StoredTable, Iterable[Row]]


async def fill(
    url: str, contents: Contents, digests: Mapping[tuple[str, str], Digest], without: frozenset[str] = frozenset()
) -> None:
    """Replace the rows of these tables, in one transaction, which is given up where a table's digest is another one."""
    async with connected(url) as connection, connection.transaction():
        for table, rows in contents.items():
            there = await connection.fetch(_COLUMNS, table.schema, table.name)
            types = {row["column_name"]: row["data_type"] for row in there}
            await connection.execute(f'DELETE FROM "{table.schema}"."{table.name}"')
            await connection.copy_records_to_table(
                table.name,
                schema_name=table.schema,
                columns=list(table.columns),
                records=_records(table.columns, [types[name] for name in table.columns], rows),
            )
            await _count_on(connection, table)
            wanted = digests.get((table.schema, table.name))
            if wanted is not None and await digest(connection, table, without) != wanted:
                raise Refused(f"{table.schema}.{table.name} is not what was to be restored: nothing was changed")


async def _count_on(connection: asyncpg.Connection, table: StoredTable) -> None:
    """Numbers that the table draws itself go on behind those that it has."""
    name = f'"{table.schema}"."{table.name}"'
    for row in await connection.fetch(_NUMBERED, table.schema, table.name):
        column = row["column_name"]
        await connection.execute(
            f"SELECT setval(pg_get_serial_sequence('{name}', '{column}'), max(\"{column}\")) FROM {name} HAVING count(*) > 0"
        )


def _records(columns: Iterable[str], types: list[str], rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    convert = [_FROM_STORED.get(kind) for kind in types]
    pairs = list(zip(columns, convert, strict=True))
    for row in rows:
        yield tuple(row[name] if to is None or row[name] is None else to(row[name]) for name, to in pairs)


def _time(value: int) -> datetime:
    return _EPOCH + value * _MICROSECOND


_FROM_STORED: dict[str, Callable[[Any], Any]] = {
    "timestamp with time zone": _time,
    "boolean": bool,
    "double precision": float,
}


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)
