"""Fake database: one SQLite file a service, behind a line that drops statements, commits and answers.

Write transactions queue at the file's one lock: races for row locks are for the real PostgreSQL of tests/chaos.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError

from shared.bus.outbox import LogOutbox
from shared.clock import Clock
from shared.contracts.topics import KeyedMessage, Topic
from shared.db.protocol import Emitted, Read, Tx
from shared.db.sqlite import SqliteDatabase
from tests.simulation.chance import Chance
from tests.simulation.process import Killed, Process, current
from tests.simulation.trace import Trace

_ERRORS: tuple[Callable[[], Exception], ...] = (
    lambda: ConnectionResetError("the connection was lost"),
    lambda: DBAPIError("", None, asyncpg.ConnectionDoesNotExistError("closed in the middle of operation")),  # type: ignore[arg-type]
    lambda: InterfaceError("", None, asyncpg.InterfaceError("connection is closed"), connection_invalidated=True),  # type: ignore[arg-type]
    lambda: DBAPIError("", None, asyncpg.AdminShutdownError("terminating connection")),  # type: ignore[arg-type]
)
"""As they come from asyncpg through SQLAlchemy."""
_SLEPT = 0.3
"""Share of the statements during which others get their turn: each sleep costs."""


class _Logs:
    """Each process has its own outgoing log, and hears only of its own commits."""

    async def append(self, tx: Tx, emitted: list[Emitted]) -> None:
        if current.get() is not None:
            await _log().append(tx, emitted)

    def appended(self, topics: set[str]) -> None:
        if current.get() is not None:
            _log().appended(topics)


def _log() -> LogOutbox:
    process = current.get()
    assert process is not None
    assert process.log is not None
    return process.log


class Server:
    """One service's database. `clock` is the server's own; None where it is a file. `sick` is a table that takes no rows for now; `journal` is told of every commit, in order: the process, and what was written for it."""

    def __init__(self, name: str, file: Path, chance: Chance, trace: Trace, clock: Clock | None = None) -> None:
        self.name = name
        self.clock = clock
        self.file = SqliteDatabase(file, _Logs())
        self.down = False
        self.sick = ""
        self.sessions: dict[Session, None] = {}
        self.journal: list[list[Any]] = []
        self.chance = chance
        self.trace = trace

    def lost(self) -> Exception:
        return self.chance.one(_ERRORS)()

    async def drop(self, process: Process, older: float) -> None:
        """Roll back what this client has had open for longer."""
        for session in list(self.sessions):
            if session.process is process and session.age() > older:
                self.chance.noted("transaction of a frozen process dropped", process.name)
                await session.end(self.lost())


class Session:
    """One transaction or snapshot of one process."""

    def __init__(self, server: Server, process: Process, opened: Any) -> None:
        self.server = server
        self.process = process
        self.notes: list[Any] = []
        self.tx: Any = None
        self._opened = opened
        self._since = 0.0
        self._over = False

    def age(self) -> float:
        return asyncio.get_running_loop().time() - self._since

    async def begin(self) -> None:
        await self.process.lag()
        if self.server.down:
            raise self.server.lost()
        self.tx = await self._opened.__aenter__()
        self._since = asyncio.get_running_loop().time()
        self.server.sessions[self] = None

    async def do(self, name: str, *arguments: Any, **options: Any) -> Any:
        await (self.process.lag() if self.server.chance.random.random() < _SLEPT else self.process.gate())
        if self._over or self.server.down:
            raise self.server.lost()
        if self.server.sick and self.server.sick == getattr(arguments[0], "name", None):
            raise DBAPIError("", None, asyncpg.DiskFullError(f"could not extend {self.server.sick}"))  # type: ignore[arg-type]
        if self.server.chance.hits("statement fails", self.process.name):
            raise self.server.lost()
        return await getattr(self.tx, name)(*arguments, **options)

    async def end(self, error: BaseException | None = None) -> None:
        """Commit, or with an error roll back; what is over stays over."""
        if self._over or self.tx is None:
            return
        self._over = True
        self.server.sessions.pop(self, None)
        try:
            await self._opened.__aexit__(error and type(error), error, None)
        except BaseException as raised:
            if raised is not error:
                raise

    async def commit(self) -> None:
        server, chance, who = self.server, self.server.chance, self.process.name
        await self.process.lag()
        if self._over or server.down or chance.hits("commit refused", who):
            raise server.lost()
        if chance.hits("killed before commit", who):
            self._die()
        await self.end()
        server.journal.append([*self.notes, ("at", asyncio.get_running_loop().time())])
        server.trace.say("commit", who, f"{server.name} {' '.join(map(_shown, self.notes))}")
        if chance.hits("killed after commit", who):
            self._die()
        if chance.hits("commit's answer lost", who):
            raise server.lost()
        await self.process.lag()

    def _die(self) -> None:
        self.process.kill()
        raise Killed


class FakeDatabase:
    """Implements `Database`: one process's line to a server."""

    def __init__(self, server: Server, process: Process) -> None:
        self._server = server
        self._process = process

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        session = Session(self._server, self._process, self._server.file.transaction())
        try:
            await session.begin()
            yield Line(session)
            await session.commit()
        except BaseException as error:
            await session.end(error)
            raise

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Read]:
        session = Session(self._server, self._process, self._server.file.snapshot())
        try:
            await session.begin()
            yield Line(session)
        except BaseException as error:
            await session.end(error)
            raise
        await session.end()

    async def check_writable(self) -> None:
        """Nobody else locks it."""

    async def server_time(self) -> datetime | None:
        await self._process.gate()
        if self._server.down:
            raise self._server.lost()
        return self._server.clock.now() if self._server.clock is not None else None

    async def close(self) -> None:
        """The server goes on."""


class Line:
    """Implements `Tx`: every statement travels. What is written to a journal's table is noted."""

    def __init__(self, session: Session) -> None:
        self._session = session
        for name in ("all", "first", "scalar", "among", "run", "each", "insert", "insert_new"):
            setattr(self, name, _sent(session, name))

    async def upsert(self, table: Any, rows: Iterable[Any]) -> None:
        await self._written("upsert", table, list(rows))

    async def update(self, table: Any, rows: Iterable[Any]) -> None:
        await self._written("update", table, list(rows))

    async def _written(self, how: str, table: Any, kept: list[Any]) -> None:
        if kept and table.name == "lifecycle_account":
            self._session.notes.append(("accounts", [row["id"] for row in kept]))
        await self._session.do(how, table, kept)

    def emit(self, topic: Topic, messages: Iterable[KeyedMessage]) -> None:
        self._session.tx.emit(topic, messages)

    def note(self, *what: Any) -> None:
        """For whoever looks at the run afterwards."""
        self._session.notes.append(what)


def _sent(session: Session, name: str) -> Callable[..., Any]:
    async def do(*arguments: Any, **options: Any) -> Any:
        return await session.do(name, *arguments, **options)

    return do


def _shown(note: Any) -> str:
    return f"{len(note[2])} of {note[3]}" if note[0] == "batch" else f"{len(note[1])} {note[0]}"
