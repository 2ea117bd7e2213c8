"""Connection of migrations: one at a time for each database, with timeouts, in the service's schema.

A lock is held for as long as the connection: an advisory lock on PostgreSQL, a locked file beside an SQLite file.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from shared.failures import Retry
from shared.files import private_database, private_file

T = TypeVar("T")
LOCK_SECONDS = 30
"""How long to wait for the lock, and on PostgreSQL for each table."""
_STATEMENT_SECONDS = 900
_POLL_SECONDS = 0.05


def run_locked(url: str, schema: str, work: Callable[[Connection], T]) -> T:
    """Do this in one transaction that no other migration runs beside. `schema` counts on PostgreSQL only.

    Blocking: call it outside the event loop, or in a thread. Raises Retry when the lock cannot be had.
    """
    if make_url(url).get_backend_name() == "sqlite":
        return _on_sqlite(url, work)
    return asyncio.run(_on_postgres(url, schema, work))


def _on_sqlite(url: str, work: Callable[[Connection], T]) -> T:
    file = Path(make_url(url).database or "")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    private_database(file)
    engine = create_engine(url, connect_args={"timeout": LOCK_SECONDS})
    _with_transactional_ddl(engine)
    try:
        with _locked(file.with_suffix(".migrating")), engine.begin() as connection:
            return work(connection)
    finally:
        engine.dispose()


def _with_transactional_ddl(engine: Engine) -> None:
    """Python's driver commits by itself around DDL: here a migration happens as a whole or not at all."""

    def connected(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # sqlite3's

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    private_file(path)
    file = os.open(path, os.O_RDWR)
    try:
        _lock(file, path)
        yield
    finally:
        os.close(file)


def _lock(file: int, path: Path) -> None:
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise Retry(f"another migration holds {path}") from None
            time.sleep(_POLL_SECONDS)
        else:
            return


async def _on_postgres(url: str, schema: str, work: Callable[[Connection], T]) -> T:
    settings = {
        "application_name": "waymark migrate",
        "search_path": schema,
        "lock_timeout": f"{LOCK_SECONDS}s",
        "statement_timeout": f"{_STATEMENT_SECONDS}s",
    }
    engine = create_async_engine(url, connect_args={"server_settings": settings, "timeout": 10})
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('waymark migrations'))"))
            await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
            return await connection.run_sync(work)
    finally:
        await engine.dispose()
