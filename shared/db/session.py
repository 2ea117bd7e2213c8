"""Session: the reads and writes of one connection, common to both databases; a subclass only runs statements."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, CursorResult, Executable, Row, Select, Table

from shared.contracts.topics import KeyedMessage, Topic
from shared.db import bulk
from shared.db.protocol import Emitted, Values

T = TypeVar("T")


class Session(ABC):
    """Implements `Read` and `Tx` (shared/db/protocol.py) over one primitive."""

    dialect: str

    def __init__(self) -> None:
        self.emitted: list[Emitted] = []

    @abstractmethod
    async def _do(self, statement: Executable, values: Any, take: Callable[[CursorResult[Any]], T]) -> T:
        """Run the statement and give what `take` makes of its result."""

    @abstractmethod
    async def _write(self, statement: Executable, table: Table, columns: tuple[str, ...], rows: list[Values]) -> int:
        """Run one of `bulk`'s statements for these rows; how many it touched."""

    async def all(self, statement: Executable, values: Values | None = None) -> Sequence[Row[Any]]:
        return await self._do(statement, values, lambda result: result.all())

    async def first(self, statement: Executable, values: Values | None = None) -> Row[Any] | None:
        return await self._do(statement, values, lambda result: result.first())

    async def scalar(self, statement: Executable, values: Values | None = None) -> Any:
        return await self._do(statement, values, lambda result: result.scalar())

    async def among(self, statement: Select[Any], column: ColumnElement[Any], keys: Collection[Any]) -> list[Row[Any]]:
        rows: list[Row[Any]] = []
        for condition, values in bulk.among(self.dialect, column, sorted(keys)):
            rows += await self.all(statement.where(condition).order_by(column), values)
        return rows

    async def run(self, statement: Executable, values: Values | None = None) -> int:
        return await self._do(statement, values, lambda result: result.rowcount)

    async def each(self, statement: Executable, rows: Sequence[Values]) -> None:
        if rows:
            await self._do(statement, rows, lambda _: None)

    async def insert(self, table: Table, rows: Iterable[Values]) -> None:
        await self._many("insert", table, list(rows))

    async def insert_new(self, table: Table, rows: Iterable[Values], unless_in: Table | None = None) -> int:
        return await self._many("insert_new", table, list(rows), unless_in)

    async def upsert(self, table: Table, rows: Iterable[Values]) -> None:
        await self._many("upsert", table, list(rows))

    async def update(self, table: Table, rows: Iterable[Values]) -> None:
        known = list(rows)
        if await self._many("update", table, known) != len(known):
            raise LookupError(f"a row of {table.name} that was to be updated is not there")

    def emit(self, topic: Topic, messages: Iterable[KeyedMessage]) -> None:
        self.emitted.append(Emitted(topic, messages))

    async def _many(self, kind: bulk.Kind, table: Table, rows: list[Values], unless_in: Table | None = None) -> int:
        if not rows:
            return 0
        columns = tuple(rows[0])
        statement = bulk.statement(kind, self.dialect, table, columns, unless_in)
        return await self._write(statement, table, columns, rows)
