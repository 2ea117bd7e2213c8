"""Session: the reads and writes of one connection, common to both databases; a subclass only runs statements.

Bulk statements write many rows in one, as unnested arrays on PostgreSQL and by executemany on SQLite.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeVar

import msgspec
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CursorResult,
    Executable,
    LargeBinary,
    Row,
    Select,
    Table,
    Text,
    bindparam,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from shared.contracts.topics import KeyedMessage, Topic
from shared.db.protocol import Emitted, Values

Kind = Literal["insert", "insert_new", "upsert", "update"]
Form = Literal["array", "json", "list"]
"""How a statement is given the keys that it asks for."""
_CHUNK = 500
_CACHED = 256
_INSERT: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_encode = msgspec.json.Encoder().encode
_NUL = "\\u0000"


@lru_cache(_CACHED)
def statement(kind: Kind, dialect: str, table: Table, columns: tuple[str, ...], unless_in: Table | None) -> Executable:
    """The statement for such rows, built once: building it costs more than a batch's worth of arguments."""
    if kind == "insert_new":
        return insert_new(dialect, table, columns, unless_in)
    return {"insert": insert, "upsert": upsert, "update": overwrite}[kind](dialect, table, columns)


def insert_new(dialect: str, table: Table, columns: tuple[str, ...], unless_in: Table | None) -> Executable:
    """Insert rows, leaving out those whose key exists (in `unless_in` too, where one is given)."""
    source = _rows(dialect, table, columns)
    if unless_in is not None:
        keys = [(column.name, source.selected_columns[column.name]) for column in table.primary_key]
        source = source.where(~exists().where(*(unless_in.c[name] == value for name, value in keys)))
    statement: Executable = _INSERT[dialect](table).from_select(columns, _guarded(source)).on_conflict_do_nothing()
    return statement


def insert(dialect: str, table: Table, columns: tuple[str, ...]) -> Executable:
    """Insert rows; a conflict is an error."""
    statement: Executable = _INSERT[dialect](table).from_select(columns, _guarded(_rows(dialect, table, columns)))
    return statement


def upsert(dialect: str, table: Table, columns: tuple[str, ...]) -> Executable:
    """Insert rows, or overwrite the given columns of the row with that primary key."""
    source = _guarded(_rows(dialect, table, columns))
    statement = _INSERT[dialect](table).from_select(columns, source)
    key = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in columns if name not in key}
    result: Executable = (
        statement.on_conflict_do_update(index_elements=key, set_=changed)
        if changed
        else statement.on_conflict_do_nothing()
    )
    return result


def overwrite(dialect: str, table: Table, columns: tuple[str, ...]) -> Executable:
    """Overwrite the given columns of the rows with those primary keys, and no others."""
    fresh = _fresh(dialect, table, columns)
    key = {column.name for column in table.primary_key}
    here = [table.c[name] == fresh[name] for name in columns if name in key]
    changed = {name: fresh[name] for name in columns if name not in key}
    statement: Executable = update(table).where(*here).values(changed)
    return statement


def among(
    dialect: str, statement: Select[Any], column: ColumnElement[Any], keys: list[Any]
) -> Iterator[tuple[Executable, Values]]:
    """Statements and values that together ask for every key, in order: one on PostgreSQL, and on SQLite for most keys.

    SQLite gets them as JSON, where it can hold them: bytes and a NUL it cannot (read back, a text ends there).
    """
    if dialect == "postgresql":
        yield _asking_among(statement, column, "array"), {"keys": keys}
        return
    if not isinstance(column.type, LargeBinary) and _NUL not in (text := _encode(keys).decode()):
        yield _asking_among(statement, column, "json"), {"keys": text}
        return
    for start in range(0, len(keys), _CHUNK):
        yield _asking_among(statement, column, "list"), {"keys": keys[start : start + _CHUNK]}


@lru_cache(_CACHED)
def _asking_among(statement: Select[Any], column: ColumnElement[Any], form: Form) -> Select[Any]:
    """The statement for some keys, made once for a statement that is kept: making and compiling it costs more than the answer.

    On PostgreSQL a subquery, not `= ANY(array)`: with an order asked for, that one walks the whole index.
    """
    keys: Any
    match form:
        case "array":
            keys = select(func.unnest(bindparam("keys", type_=ARRAY(column.type))))
        case "json":
            keys = select(func.json_each(bindparam("keys", type_=Text)).table_valued("value").c.value)
        case "list":
            keys = bindparam("keys", expanding=True)
    return statement.where(column.in_(keys)).order_by(column)


def arrays(columns: tuple[str, ...], rows: Sequence[Any]) -> dict[str, list[Any]]:
    """The rows as PostgreSQL's statement wants them: one array a column."""
    return {f"v_{name}": [row[name] for row in rows] for name in columns}


def _rows(dialect: str, table: Table, columns: tuple[str, ...]) -> Select[Any]:
    fresh = _fresh(dialect, table, columns)
    return select(*(fresh[name].label(name) for name in columns))


def _fresh(dialect: str, table: Table, columns: tuple[str, ...]) -> dict[str, ColumnElement[Any]]:
    """The rows to write, a column each: parameters of one row on SQLite, unnested arrays on PostgreSQL."""
    if dialect == "sqlite":
        return {name: bindparam(f"v_{name}", type_=table.c[name].type) for name in columns}
    every = (func.unnest(bindparam(f"v_{name}", type_=ARRAY(table.c[name].type))).label(name) for name in columns)
    unnested = select(*every).subquery("fresh").c
    return {name: unnested[name] for name in columns}


def _guarded(source: Select[Any]) -> Select[Any]:
    """SQLite's parser takes ON CONFLICT after a bare SELECT for a join condition, unless there is a WHERE."""
    return source if source.whereclause is not None else source.where(func.length("x") == 1)


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
        """Run one of the bulk statements for these rows; how many it touched."""

    async def all(self, statement: Executable, values: Values | None = None) -> Sequence[Row[Any]]:
        return await self._do(statement, values, lambda result: result.all())

    async def first(self, statement: Executable, values: Values | None = None) -> Row[Any] | None:
        return await self._do(statement, values, lambda result: result.first())

    async def scalar(self, statement: Executable, values: Values | None = None) -> Any:
        return await self._do(statement, values, lambda result: result.scalar())

    async def among(self, statement: Select[Any], column: ColumnElement[Any], keys: Collection[Any]) -> list[Row[Any]]:
        rows: list[Row[Any]] = []
        for asking, values in among(self.dialect, statement, column, sorted(keys)) if keys else ():
            rows += await self.all(asking, values)
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

    async def _many(self, kind: Kind, table: Table, rows: list[Values], unless_in: Table | None = None) -> int:
        if not rows:
            return 0
        columns = tuple(rows[0])
        built = statement(kind, self.dialect, table, columns, unless_in)
        return await self._write(built, table, columns, rows)
