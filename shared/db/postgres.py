"""PostgreSQL: a schema a service, any number of writers. SQLAlchemy over asyncpg."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import CursorResult, Executable, Table, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from shared.db.protocol import Outbox, Read, Tx, Values
from shared.db.session import Session, arrays
from shared.failures import Retry

T = TypeVar("T")

STILL = {"default_transaction_isolation": "repeatable read", "idle_in_transaction_session_timeout": "0"}
"""For who reads the whole database as it was at one moment, however long that takes."""
_SERVER = {
    "application_name": "waymark",
    "idle_in_transaction_session_timeout": "60000",
    "statement_timeout": "60000",
    "lock_timeout": "30000",
}


class PostgresDatabase:
    """Schemas of one database, the first one first: `notify, access`. READ COMMITTED: rows are locked before they decide anything."""

    def __init__(
        self, url: str, schema: str, outbox: Outbox, pool_size: int = 8, more: Mapping[str, str] | None = None
    ) -> None:
        self._outbox = outbox
        settings = {**_SERVER, **(more or {}), "search_path": schema}
        self._engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=4,
            pool_timeout=10,
            connect_args={"server_settings": settings, "timeout": 10},
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        async with self._engine.begin() as connection:
            tx = PostgresTx(connection)
            yield tx
            await self._outbox.append(tx, tx.emitted)
        self._outbox.appended({emitted.topic.name for emitted in tx.emitted})

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Read]:
        async with self._engine.connect() as connection:
            yield PostgresTx(connection)

    async def check_writable(self) -> None:
        """A standby, and a server that was set to read only, take no write."""
        async with self.snapshot() as read:
            if await read.scalar(text("SHOW transaction_read_only")) == "on":
                raise Retry("PostgreSQL is read only: nothing can be written")

    async def server_time(self) -> datetime | None:
        async with self.snapshot() as read:
            told: datetime = await read.scalar(text("SELECT clock_timestamp()"))
            return told

    async def close(self) -> None:
        await self._engine.dispose()


class PostgresTx(Session):
    """One connection, inside one transaction."""

    dialect = "postgresql"

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__()
        self._connection = connection

    async def _do(self, statement: Executable, values: Any, take: Callable[[CursorResult[Any]], T]) -> T:
        return take(await self._connection.execute(statement, values))

    async def _write(self, statement: Executable, table: Table, columns: tuple[str, ...], rows: list[Values]) -> int:  # noqa: ARG002  the arrays need only names
        return await self._do(statement, arrays(columns, rows), lambda result: result.rowcount)
