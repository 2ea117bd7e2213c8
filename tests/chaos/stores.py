"""Stores of the services: the harness's own access to their databases, past the product."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import asyncpg

Rows = Sequence[Mapping[str, Any]]


class Stores(Protocol):
    """Every service's store. Statements are plain SQL without parameters that both databases understand."""

    dialect: str

    async def rows(self, service: str, statement: str) -> Rows: ...

    async def run(self, service: str, statement: str) -> None: ...


class PostgresStores:
    """A schema a service."""

    dialect = "postgresql"

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def rows(self, service: str, statement: str) -> Rows:
        connection = await self._connected(service)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close(timeout=5)

    async def run(self, service: str, statement: str) -> None:
        await self.rows(service, statement)

    async def _connected(self, service: str) -> Any:
        settings = {"search_path": service, "application_name": "chaos"}
        return await asyncpg.connect(self._dsn, timeout=10, command_timeout=120, server_settings=settings)


class SqliteStores:
    """One file for all."""

    dialect = "sqlite"

    def __init__(self, file: Path) -> None:
        self._file = file

    async def rows(self, service: str, statement: str) -> Rows:  # noqa: ARG002  all in one
        return await asyncio.to_thread(self._rows, statement)

    async def run(self, service: str, statement: str) -> None:
        await self.rows(service, statement)

    def _rows(self, statement: str) -> Rows:
        connection = sqlite3.connect(self._file, timeout=30)
        try:
            connection.row_factory = sqlite3.Row
            with connection:
                return [dict(row) for row in connection.execute(statement)]
        finally:
            connection.close()


def moment(stores: Stores, column: str) -> str:
    """A time column as microseconds since 1970, as an expression."""
    return column if stores.dialect == "sqlite" else f"(extract(epoch FROM {column}) * 1000000)::bigint"
