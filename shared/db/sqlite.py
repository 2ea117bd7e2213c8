"""SQLite: one file, one writer. Write transactions queue; readers see the last commit (WAL).

The plain driver runs in a thread of its own: an async wrapper around each row is 17 to 40 times slower.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, CursorResult, Dialect, Executable, Table, create_engine, event
from sqlalchemy.pool import QueuePool

from shared.db.protocol import Outbox, Read, Tx, Values
from shared.db.session import Session
from shared.failures import Retry
from shared.files import private_database

T = TypeVar("T")
_READERS = 3
_CACHED = 256
_LOCKED_SECONDS = 2.0
"""A lock that somebody else holds for longer is no ordinary write, such as a checkpoint or a backup's step."""
_PRIMARY_CODE = 0xFF
"""The part of an extended error code that names the kind."""
Get = Callable[[Values], Any]


class SqliteDatabase:
    """One file. Durable: `synchronous=FULL`, so a commit that returned survives a power cut."""

    def __init__(self, path: Path, outbox: Outbox) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        private_database(path)
        self._path = path
        self._outbox = outbox
        self._writing = False
        self._begun = 0
        self._engine = create_engine(f"sqlite:///{path}", poolclass=QueuePool, pool_size=_READERS + 1, max_overflow=0)
        event.listen(self._engine, "connect", _prepare)
        self._writer = ThreadPoolExecutor(1, "sqlite-writer")
        self._readers = [ThreadPoolExecutor(1, f"sqlite-reader-{number}") for number in range(_READERS)]
        self._turn = asyncio.Lock()
        self._free = asyncio.Queue[ThreadPoolExecutor]()
        for reader in self._readers:
            self._free.put_nowait(reader)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        async with self._turn, self._connected(self._writer, "BEGIN IMMEDIATE") as connection:
            tx = SqliteTx(connection, self._writer)
            self._writing, self._begun = True, self._begun + 1
            try:
                yield tx
                await self._outbox.append(tx, tx.emitted)
                await _in(self._writer, lambda: connection.exec_driver_sql("COMMIT"))
            finally:
                self._writing = False
        self._outbox.appended({emitted.topic.name for emitted in tx.emitted})

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Read]:
        thread = await self._free.get()
        try:
            async with self._connected(thread, "BEGIN") as connection:
                yield SqliteTx(connection, thread)
        finally:
            self._free.put_nowait(thread)

    async def check_writable(self) -> None:
        """Tries the lock from beside the queue of our own writers: who of them has it, or had it meanwhile, can write."""
        begun, until = self._begun, time.monotonic() + _LOCKED_SECONDS
        while not self._writing and self._begun == begun and not await asyncio.to_thread(_can_lock, self._path):
            if time.monotonic() > until:
                raise Retry(f"another process has {self._path.name} locked: nothing can be written")
            await asyncio.sleep(0.1)

    async def server_time(self) -> datetime | None:
        return None

    @asynccontextmanager
    async def _connected(self, thread: ThreadPoolExecutor, begin: str) -> AsyncIterator[Connection]:
        """A connection that only this thread uses, and gives back.

        A thread does one thing after the other: what a cancelled caller left running there (opening, too) has ended
        before its connection is given back. Two threads in one connection end the process.
        """
        opened: list[Connection] = []
        try:
            await _in(thread, lambda: self._open(opened, begin))
            yield opened[0]
        finally:
            await asyncio.shield(_in(thread, lambda: _give_back(opened)))

    def _open(self, opened: list[Connection], begin: str) -> None:
        opened.append(self._engine.connect())
        opened[0].exec_driver_sql(begin)

    async def close(self) -> None:
        """After whatever still runs: to close a connection that a thread is using ends the process."""
        for reader in self._readers:
            await asyncio.to_thread(reader.shutdown)
        await _in(self._writer, self._engine.dispose)
        self._writer.shutdown()


class SqliteTx(Session):
    """One connection, used in its thread only."""

    dialect = "sqlite"

    def __init__(self, connection: Connection, thread: ThreadPoolExecutor) -> None:
        super().__init__()
        self._connection = connection
        self._thread = thread

    async def _do(self, statement: Executable, values: Any, take: Callable[[CursorResult[Any]], T]) -> T:
        return await _in(self._thread, lambda: take(self._connection.execute(statement, values)))

    async def _write(self, statement: Executable, table: Table, columns: tuple[str, ...], rows: list[Values]) -> int:
        return await _in(self._thread, lambda: self._written(statement, table, columns, rows))

    def _written(self, statement: Executable, table: Table, columns: tuple[str, ...], rows: list[Values]) -> int:
        bulk = bulk_statement(statement, table, columns, self._connection.dialect)
        return self._connection.exec_driver_sql(bulk.sql, [bulk.values(row) for row in rows]).rowcount


class BulkStatement(NamedTuple):
    """SQL text, and the function that takes each of its parameters from a row."""

    sql: str
    parameters: tuple[Get, ...]

    def values(self, row: Values) -> tuple[Any, ...]:
        """The parameters of one row."""
        return tuple([get(row) for get in self.parameters])


@lru_cache(_CACHED)
def bulk_statement(statement: Executable, table: Table, columns: tuple[str, ...], dialect: Dialect) -> BulkStatement:
    """One of the bulk statements of `session` as text, so that no statement object is executed once per row.

    Its parameters are named `v_` and the column's name; all others are constants.
    """
    compiled: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # an Executable of ours is a ClauseElement
    ours = {f"v_{name}": _column_value(name, table, dialect) for name in columns}
    parameters = (ours.get(name) or _constant(compiled.params[name]) for name in compiled.positiontup)
    return BulkStatement(str(compiled), tuple(parameters))


def _column_value(name: str, table: Table, dialect: Dialect) -> Get:
    process = table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
    return (lambda row: row[name]) if process is None else (lambda row: process(row[name]))


def _constant(value: Any) -> Get:
    return lambda _row: value


async def _in(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(thread, work)


def _can_lock(path: Path) -> bool:
    """Whether a write could begin now. Raises sqlite3.Error where it is not a lock that keeps it from that."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY_CODE == sqlite3.SQLITE_BUSY:
                return False
            raise
        connection.execute("ROLLBACK")
    return True


def _give_back(opened: list[Connection]) -> None:
    for connection in opened:
        connection.rollback()
        connection.close()


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=10000",
        "foreign_keys=ON",
        "cache_size=-32000",
    ):
        connection.execute(f"PRAGMA {pragma}")
