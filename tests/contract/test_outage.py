"""Outages: none of them makes a dead letter, and no error of a record is mistaken for an outage."""

import asyncio
import errno
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from deploy.servers import Postgres
from shared.bus.protocol import ProducerRecord
from shared.contracts.topics import USAGE_RAW
from shared.db.errors import is_infrastructure
from shared.db.protocol import Tx
from shared.failures import Parked, Retry
from shared.service.processor import MessageBatch
from shared.service.supervisor import SupervisedLoop
from shared.storage import Storage
from tests.conftest import Deployment, scaled
from tests.contract.effects import Effects, consumer, count, dead_letters, ids, prepare, publish, until
from tests.make import eventually, migrated_storage

WORLD = {
    "08000 08001 08003 08006": "the connection",
    "28P01 28000": "who we are",
    "3D000 3F000": "database or schema",
    "40001 40P01": "serialization, deadlock",
    "53000 53100 53200 53300": "disk, memory, connections",
    "55P03 55006": "locks",
    "57014 57P01 57P02 57P03 57P05": "cancelled, shutting down, crashed, starting",
    "58000 58030": "the system",
    "XX000 XX001": "its inside",
    "25006 25P03 25P04": "read only, idle or open too long",
    "42P01 42703 42501": "not migrated, not allowed",
}
RECORD = "22001 22003 22021 22P02 22P05 23502 23503 23505 23514 21000 42804 42601 54000 0A000 P0001"


def wrapped(error: Exception) -> DBAPIError:
    """As SQLAlchemy hands it over."""
    inner = AsyncAdapt_asyncpg_dbapi.Error(str(error), error)
    inner.__cause__ = error
    outer = DBAPIError("SELECT 1", {}, inner)
    outer.__cause__ = inner
    return outer


def raised_from(cause: Exception) -> Exception:
    error = RuntimeError("a handler's own words")
    error.__cause__ = cause
    return error


def of_postgres(state: str) -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"C": state, "M": state})


@pytest.mark.parametrize("state", " ".join(WORLD).split())
def test_what_postgresql_says_of_itself_is_an_outage(state: str) -> None:
    assert is_infrastructure(of_postgres(state))
    assert is_infrastructure(wrapped(of_postgres(state)))
    assert is_infrastructure(raised_from(wrapped(of_postgres(state))))


@pytest.mark.parametrize("state", RECORD.split())
def test_what_postgresql_says_of_the_record_is_none(state: str) -> None:
    assert not is_infrastructure(of_postgres(state))
    assert not is_infrastructure(wrapped(of_postgres(state)))


@pytest.mark.parametrize(
    ("error", "world"),
    [
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.InternalClientError("got result for unknown protocol state 3"), True),
        (asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"), True),
        (asyncpg.InvalidCachedStatementError("cached statement plan is invalid"), True),
        (asyncpg.DataError("invalid input for query argument $1: 99999999999"), False),
        (ConnectionRefusedError(111, "refused"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (PoolTimeout("QueuePool limit"), True),
        (PendingRollbackError("reconnect"), True),
        (Retry("the log"), True),
        (Parked("cannot read this", "nonsense"), False),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed"), True),
        (OSError(errno.EHOSTUNREACH, "No route to host"), True),
        (socket.gaierror(-2, "Name or service not known"), True),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), True),
        (OSError(errno.ENOSPC, "No space left on device", "waymark.db"), True),
        (FileNotFoundError("a handler's template"), False),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "template.txt"), False),
        (PermissionError(errno.EACCES, "Permission denied", "template.txt"), False),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "templates"), False),
        (ValueError("poison"), False),
        (KeyError("bug"), False),
    ],
    ids=repr,
)
def test_each_driver_and_each_wrapping_is_told_apart(error: Exception, world: bool) -> None:
    assert is_infrastructure(error) is world
    assert is_infrastructure(raised_from(error)) is world
    if isinstance(error, asyncpg.InterfaceError | asyncpg.PostgresError | asyncpg.InternalClientError):
        assert is_infrastructure(wrapped(error)) is world


def test_a_record_parked_because_of_an_outage_elsewhere_is_parked() -> None:
    why = Parked("its picture cannot be had", "no_picture")
    why.__cause__ = OSError()
    assert not is_infrastructure(why)


def locked(path: Path) -> None:
    first, second = sqlite3.connect(path), sqlite3.connect(path, timeout=0)
    try:
        first.execute("BEGIN IMMEDIATE")
        second.execute("BEGIN IMMEDIATE")
    finally:
        first.close()
        second.close()


def full(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA max_page_count = 3")
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")


def read_only(path: Path) -> None:
    sqlite3.connect(path).close()
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        connection.execute("CREATE TABLE t (a)")


def no_database(path: Path) -> None:
    path.write_bytes(b"this is not a database" * 100)
    with sqlite3.connect(path) as connection:
        connection.execute("SELECT * FROM sqlite_master")


def nowhere(path: Path) -> None:
    sqlite3.connect(path / "no" / "folder")


def closed(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.close()
    connection.execute("SELECT 1")


def twice(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES (1), (1)")


def malformed(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("SELECT json('{')")


def too_large(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("SELECT ?", (2**70,))


@pytest.mark.parametrize(
    ("fail", "world"),
    [
        *((fail, True) for fail in (locked, full, read_only, no_database, nowhere, closed)),
        *((fail, False) for fail in (twice, malformed, too_large)),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
def test_what_sqlite_says_is_told_apart_too(tmp_path: Path, fail: Callable[[Path], None], world: bool) -> None:
    with pytest.raises((sqlite3.Error, OverflowError)) as raised:
        fail(tmp_path / "a.db")
    assert is_infrastructure(raised.value) is world
    if isinstance(raised.value, sqlite3.Error):
        assert is_infrastructure(DBAPIError("SELECT 1", {}, raised.value)) is world


@pytest.fixture
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    async with migrated_storage(scaled(request, tmp_path)) as opened_store:
        await prepare(opened_store)
        yield opened_store


async def in_one_transaction(opened: Storage, statements: list[str]) -> None:
    async with opened.database.transaction() as tx:
        for statement in statements:
            await tx.run(text(statement))


@pytest.mark.servers
@pytest.mark.parametrize(
    ("statements", "world"),
    [
        (["SELECT pg_terminate_backend(pg_backend_pid())"], True),
        (["SET TRANSACTION READ ONLY", "INSERT INTO effects VALUES (1, 'x')"], True),
        (["SET LOCAL statement_timeout = 20", "SELECT pg_sleep(5)"], True),
        (["SELECT * FROM not_migrated_yet"], True),
        (["INSERT INTO effects VALUES (1, chr(0))"], False),
        (["INSERT INTO effects VALUES (1.0e30, 'x')"], False),
        (["CREATE UNIQUE INDEX once ON effects (id)", "INSERT INTO effects VALUES (1, 'x'), (1, 'x')"], False),
        (
            [
                "ALTER TABLE effects ADD CONSTRAINT late UNIQUE (id) DEFERRABLE INITIALLY DEFERRED",
                "INSERT INTO effects VALUES (1, 'x'), (1, 'x')",
            ],
            False,
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
async def test_as_the_real_postgresql_says_it(opened: Storage, statements: list[str], world: bool) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011  which one is the question
        await in_one_transaction(opened, statements)
    assert is_infrastructure(raised.value) is world


@pytest.mark.servers
async def test_a_nul_character_is_the_records_fault_and_stops_nobody(opened: Storage) -> None:
    await opened.bus.publish(USAGE_RAW.name, [ProducerRecord(b"k", b"w-1-a\x00b"), ProducerRecord(b"k", b"w-2")])
    await until(opened, 1, consumer(opened, Effects()))
    assert [(value, reason) for value, reason, _ in await dead_letters(opened)] == [(b"w-1-a\x00b", "handler_failed")]


class Slow(Effects):
    """Tells when a transaction is open, so that a server can be stopped in the middle of it."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0

    async def handle(self, tx: Tx, batch: MessageBatch) -> None:
        self.batches += 1
        await super().handle(tx, batch)
        await tx.run(text("SELECT pg_sleep(0.02)"))


@pytest.mark.servers
@pytest.mark.parametrize("how", ["immediate", "kill", "fast"])
async def test_a_database_that_goes_away_in_the_middle_parks_nothing_and_repeats_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres, how: str
) -> None:
    one = Deployment("scaled", scaled(request, tmp_path))
    async with migrated_storage(one.settings) as opened_store:
        await prepare(opened_store)
        await publish(opened_store, 0, 1500)
        effect = Slow()
        reading = consumer(opened_store, effect, limit=20)
        supervised = asyncio.create_task(SupervisedLoop("g", reading.run).run())

        async def under_way() -> bool:
            return effect.batches > 10

        async def done() -> bool:
            assert not supervised.done()
            return await count(opened_store) >= 1500

        await eventually(under_way)
        await asyncio.to_thread(postgres.kill if how == "kill" else lambda: postgres.stop(how))  # type: ignore[arg-type]
        await asyncio.to_thread(postgres.start)
        await eventually(done)
        supervised.cancel()
        await asyncio.gather(supervised, return_exceptions=True)
        assert await ids(opened_store) == list(range(1500))
        assert await dead_letters(opened_store) == []
