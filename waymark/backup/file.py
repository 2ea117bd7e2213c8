"""Backup file: an SQLite file with the tables of a database and a description of them, written whole or not at all.

Of an SQLite database it is that database; of PostgreSQL its tables are named SCHEMA.TABLE. The description names the
digest of every table: a file that is cut, altered, or no backup at all is refused.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Literal, Self

import msgspec

from shared.failures import Refused
from shared.files import private_file
from waymark.backup.content import Digest, Row, StoredTable, digest_of
from waymark.migrations import BUS, OWNERS, histories_of

Kind = Literal["sqlite", "postgresql"]
FORMAT = 1
_TABLE = "waymark_backup"
_CHUNK = 1000


class BadBackup(Refused):
    """The file is no backup, or not whole."""

    code = "bad_backup"


class Description(msgspec.Struct, frozen=True):
    """What a backup says about itself. `tables`: the digest of each, by its name in the file."""

    kind: Kind
    version: str
    made_at: datetime
    tables: dict[str, Digest]
    format: int = FORMAT


def named(to: Path, now: datetime) -> Path:
    """Where a backup is written: the file, or in the folder a file with a name of its own."""
    return to / f"waymark-{now:%Y%m%d-%H%M%S}.backup" if to.is_dir() else to


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A private file beside it to write to, which gets its name when the block ends well. Raises Refused where there is one."""
    if path.exists():
        raise Refused(f"{path} exists: name another file, or remove it")
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    remove(partial)
    try:
        private_file(partial)
        yield partial
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    finally:
        remove(partial)


def remove(file: Path) -> None:
    """Remove an SQLite file with what stands beside it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            file.with_name(file.name + suffix).unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def describe(file: Path, kind: Kind, now: datetime) -> Description:
    """Count all of its tables, and write the description into it."""
    with closing(sqlite3.connect(file)) as database:
        tables = {name: digest_of(_columns(database, name), _rows(database, name)) for name in table_names(database)}
        made = Description(kind, version("waymark"), now, tables)
        with database:
            database.execute(f"CREATE TABLE {_TABLE} (description TEXT NOT NULL)")
            database.execute(f"INSERT INTO {_TABLE} VALUES (?)", [msgspec.json.encode(made).decode()])
        database.execute("PRAGMA journal_mode=DELETE")
    return made


class BackupFile:
    """A backup, open for reading. Raises BadBackup where the file is none, or is not whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = _opened(path)
        try:
            self.description = _described(self._database, path)
            self._check()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def tables(self) -> list[StoredTable]:
        """Every table but those of revisions, each in the schema of its service."""
        return [
            StoredTable(schema, table, _columns(self._database, name))
            for name in self.description.tables
            for schema, table in [self._place(name)]
            if not table.endswith("_version")
        ]

    def rows(self, table: StoredTable, order: str = "") -> Iterator[Row]:
        """The rows of a table."""
        return _rows(self._database, self._name(table.schema, table.name), order)

    def revision(self, schema: str, history: str) -> str | None:
        """The revision of a history's tables in a schema; None where it has none."""
        name = self._name(schema, f"{history}_version")
        if name not in self.description.tables:
            return None
        row = self._database.execute(f'SELECT version_num FROM "{name}"').fetchone()
        return None if row is None else str(row[0])

    def has_rows(self, table: StoredTable) -> bool:
        return self.description.tables[self._name(table.schema, table.name)].rows > 0

    def _name(self, schema: str, table: str) -> str:
        return table if self.description.kind == "sqlite" else f"{schema}.{table}"

    def _place(self, name: str) -> tuple[str, str]:
        if self.description.kind == "postgresql":
            schema, _, table = name.partition(".")
            return schema, table
        return schema_of(name), name

    def _check(self) -> None:
        there = set(table_names(self._database))
        if there != self.description.tables.keys():
            raise BadBackup(f"{self.path} is not whole: {sorted(there ^ self.description.tables.keys())} differ")
        for name, digest in self.description.tables.items():
            if digest_of(_columns(self._database, name), _rows(self._database, name)) != digest:
                raise BadBackup(f"{self.path} is not whole: {name} is not as it was written")


def _opened(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise BadBackup(f"{path} is no file")
    return sqlite3.connect(f"file:{path.resolve().as_posix()}?mode=ro", uri=True, check_same_thread=False)


def _described(database: sqlite3.Connection, path: Path) -> Description:
    try:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [_TABLE]).fetchone():
            raise BadBackup(
                f"{path} is no backup of `waymark backup`. A copied waymark.db alone lacks what stands in its -wal file: "
                "it may be older than it looks, and nobody can tell"
            )
        [text] = database.execute(f"SELECT description FROM {_TABLE}").fetchone()
        found = msgspec.json.decode(text, type=Description)
    except (sqlite3.DatabaseError, msgspec.DecodeError, TypeError) as error:
        raise BadBackup(f"{path} is no backup, or is not whole: {error}") from None
    if found.format != FORMAT:
        raise BadBackup(f"{path} is of format {found.format}; this version of Waymark reads {FORMAT}")
    return found


def table_names(database: sqlite3.Connection) -> list[str]:
    """Every table of an SQLite file that is somebody's data."""
    named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' AND name <> ?"
    return [row[0] for row in database.execute(f"{named} ORDER BY name", [_TABLE])]


def _columns(database: sqlite3.Connection, table: str) -> tuple[str, ...]:
    return tuple(row[1] for row in database.execute(f'PRAGMA table_info("{table}")'))


def _rows(database: sqlite3.Connection, table: str, order: str = "") -> Iterator[Row]:
    names = _columns(database, table)
    try:
        cursor = database.execute(f'SELECT {_listed(names)} FROM "{table}" {order}')
        for row in cursor:
            yield dict(zip(names, row, strict=True))
    except sqlite3.DatabaseError as error:
        raise BadBackup(f"{table} cannot be read: {error}") from None


def sqlite_digest(database: sqlite3.Connection, table: str, without: frozenset[str] = frozenset()) -> Digest:
    """The digest of a table of an SQLite file."""
    return digest_of(_columns(database, table), _rows(database, table), without)


def insert_rows(database: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Insert rows, a chunk at a time."""
    statement = f'INSERT INTO "{table}" ({_listed(columns)}) VALUES ({", ".join("?" * len(columns))})'
    values = ([row[name] for name in columns] for row in rows)
    while chunk := list(islice(values, _CHUNK)):
        database.executemany(statement, chunk)


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def schema_of(table: str) -> str:
    """The schema that a table of an SQLite file has on PostgreSQL; those of the log are of every service."""
    for history in histories_of(OWNERS):
        if table in {*history.metadata.tables, history.version_table}:
            return BUS if history.name == BUS else history.schema
    raise Refused(f"table {table} is none of this version's: it would be left behind")
