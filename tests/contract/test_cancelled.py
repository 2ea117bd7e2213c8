"""Cancellation: a cancelled caller leaves no connection, no lock and no open transaction behind, on both deployments."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.pool import Pool

from shared.db.protocol import Database
from tests.conftest import ROOT, Deployment, embedded
from tests.make import eventually, migrated_storage

_SLOW = {
    "embedded": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT max(i) FROM n",
    "scaled": "SELECT pg_sleep(0.1)",
}
_TIMES = 40
"""More often than there are connections in a pool."""


@pytest.fixture
async def database(deployment: Deployment) -> AsyncIterator[Database]:
    async with migrated_storage(deployment.settings) as opened:
        yield opened.database


async def cancelled(work: asyncio.Task[None], after: float) -> bool:
    """Whether it was in the middle of its work: on a busy machine the moment may come when it is done."""
    await asyncio.sleep(after)
    work.cancel()
    await asyncio.wait({work})
    return work.cancelled()


async def test_readers_cancelled_in_the_middle_leave_the_database_whole(
    database: Database, deployment: Deployment
) -> None:
    """Their statement still runs in its thread: its connection must be nobody else's until it has ended."""

    async def reading() -> None:
        async with database.snapshot() as read:
            await read.scalar(text(_SLOW[deployment.name]))

    assert any([await cancelled(asyncio.create_task(reading()), 0.0005 * (number % 10)) for number in range(_TIMES)])
    async with database.snapshot() as read:
        assert await read.scalar(text("SELECT 1")) == 1


async def test_writers_cancelled_in_the_middle_hold_no_lock(database: Database, deployment: Deployment) -> None:
    async def writing() -> None:
        async with database.transaction() as tx:
            await tx.run(text("CREATE TABLE never (id INTEGER)"))
            await tx.scalar(text(_SLOW[deployment.name]))
            await asyncio.Event().wait()

    assert all([await cancelled(asyncio.create_task(writing()), 0.0005 * (number % 10)) for number in range(_TIMES)])
    async with asyncio.timeout(60), database.transaction() as tx:
        await tx.run(text("CREATE TABLE never (id INTEGER)"))


async def test_on_sqlite_a_connection_is_given_back_by_the_thread_that_used_it(tmp_path: Path) -> None:
    """Given back by another one, it would be closed under a statement that still runs: that ends the process."""
    seen: list[tuple[str, int, int]] = []

    def used(connection: Connection, *_more: object) -> None:
        seen.append(("used", id(connection.connection.dbapi_connection), threading.get_ident()))

    def given_back(connection: object, *_more: object) -> None:
        seen.append(("given back", id(connection), threading.get_ident()))

    async with migrated_storage(embedded(tmp_path)) as opened:

        async def reading() -> None:
            async with opened.database.snapshot() as read:
                await read.scalar(text(_SLOW["embedded"]))

        event.listen(Engine, "before_cursor_execute", used)
        event.listen(Pool, "checkin", given_back)
        try:
            works = [asyncio.create_task(reading()) for _ in range(3)]

            async def all_used() -> bool:
                return sum(what == "used" for what, *_ in seen) >= len(works)

            await eventually(all_used)
            await asyncio.gather(*(cancelled(work, 0) for work in works))
        finally:
            event.remove(Engine, "before_cursor_execute", used)
            event.remove(Pool, "checkin", given_back)
    threads = {(connection, thread) for _, connection, thread in seen}
    assert {what for what, *_ in seen} == {"used", "given back"}
    assert len(threads) == len({connection for connection, _ in threads})


_CLOSED_UNDER_THEM = """
import asyncio, pathlib, sys
from sqlalchemy import text
from shared.bus.outbox import LogOutbox
from shared.clock import SystemClock
from shared.db.sqlite import SqliteDatabase

LONG = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 400000) SELECT count(*) FROM c"

async def ask(database):
    async with database.snapshot() as read:
        await read.scalar(text(LONG))

async def main():
    for n in range(10):
        database = SqliteDatabase(pathlib.Path(sys.argv[1]) / f"{n}.db", LogOutbox(lambda _: 1, SystemClock()))
        tasks = [asyncio.create_task(ask(database)) for _ in range(3)]
        await asyncio.wait(tasks, timeout=0.02)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await database.close()
    print("closed")

asyncio.run(main())
"""


def test_closing_a_database_under_cancelled_statements_is_safe(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, "-c", _CLOSED_UNDER_THEM, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "closed\n"), done.stderr
