"""Bulk statements: many rows in one statement, as unnested arrays on PostgreSQL and by executemany on SQLite."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import ARRAY, ColumnElement, Executable, Select, Table, bindparam, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

Kind = Literal["insert", "insert_new", "upsert", "update"]
_CHUNK = 500
_CACHED = 256
_INSERT: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


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


def among(dialect: str, column: ColumnElement[Any], keys: list[Any]) -> Iterator[tuple[ColumnElement[bool], Any]]:
    """Conditions and values that together ask for every key: pieces of a fixed length on SQLite, one array on PostgreSQL.

    A subquery, not `= ANY(array)`: with an order asked for, that one walks the whole index.
    """
    if dialect == "postgresql":
        yield column.in_(select(func.unnest(bindparam("keys", type_=ARRAY(column.type))))), {"keys": keys}
        return
    for start in range(0, len(keys), _CHUNK):
        yield column.in_(keys[start : start + _CHUNK]), None


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
