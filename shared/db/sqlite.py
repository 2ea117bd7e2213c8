"""SQLite: one file, one writer. Write transactions queue; readers see the last commit (WAL).

The plain driver runs in a thread of its own: an async wrapper around each row is 17 to 40 times slower.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Executable, Table, create_engine, event
from sqlalchemy.pool import QueuePool

from shared.db.plain import plain
from shared.db.protocol import Read, Tx, Values
from shared.db.sending import Log
from shared.db.session import Session

T = TypeVar("T")
_READERS = 3


class SqliteDatabase:
    """One file. Durable: `synchronous=FULL`, so a commit that returned survives a power cut."""

    def __init__(self, path: Path, log: Log) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        self._engine = create_engine(f"sqlite:///{path}", poolclass=QueuePool, pool_size=_READERS + 1, max_overflow=0)
        event.listen(self._engine, "connect", _prepare)
        self._writer = ThreadPoolExecutor(1, "sqlite-writer")
        self._readers = ThreadPoolExecutor(_READERS, "sqlite-reader")
        self._turn = asyncio.Lock()
        self._slots = asyncio.Semaphore(_READERS)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        async with self._turn:
            connection = await _in(self._writer, self._engine.connect)
            tx = SqliteTx(connection, self._writer)
            try:
                await _in(self._writer, lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"))
                yield tx
                await self._log.append(tx, tx.emitted)
                await _in(self._writer, lambda: connection.exec_driver_sql("COMMIT"))
            finally:
                await asyncio.shield(_in(self._writer, lambda: _give_back(connection)))
        self._log.appended({emitted.topic.name for emitted in tx.emitted})

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Read]:
        async with self._slots:
            connection = await _in(self._readers, self._reading)
            try:
                yield SqliteTx(connection, self._readers)
            finally:
                await asyncio.shield(_in(self._readers, lambda: _give_back(connection)))

    def _reading(self) -> Connection:
        connection = self._engine.connect()
        connection.exec_driver_sql("BEGIN")
        return connection

    async def close(self) -> None:
        await _in(self._writer, self._engine.dispose)
        self._writer.shutdown()
        self._readers.shutdown()


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
        made = plain(statement, table, columns, self._connection.dialect)
        return self._connection.exec_driver_sql(made.sql, [made.values(row) for row in rows]).rowcount


async def _in(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Who is cancelled waits for the thread: a connection that is closed under a running statement ends the process."""
    running = asyncio.get_running_loop().run_in_executor(thread, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({running})
        raise


def _give_back(connection: Connection) -> None:
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
