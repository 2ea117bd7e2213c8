"""How does SQLite get many rows fast? SQL text made once, and each row as a plain tuple: no statement object is asked a row."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Dialect, Executable, Table

from shared.db.protocol import Values

_KEPT = 256
Get = Callable[[Values], Any]


class Plain(NamedTuple):
    """SQL text, and what gives each of its parameters from a row."""

    sql: str
    gets: tuple[Get, ...]

    def values(self, row: Values) -> tuple[Any, ...]:
        """The parameters of one row."""
        return tuple([get(row) for get in self.gets])


@lru_cache(_KEPT)
def plain(statement: Executable, table: Table, columns: tuple[str, ...], dialect: Dialect) -> Plain:
    """One of `bulk`'s statements as text: its parameters are `v_` and the column's name, others are constants."""
    compiled: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # an Executable of ours is a ClauseElement
    ours = {f"v_{name}": _get(name, table, dialect) for name in columns}
    return Plain(
        str(compiled), tuple(ours.get(name) or _constant(compiled.params[name]) for name in compiled.positiontup)
    )


def _get(name: str, table: Table, dialect: Dialect) -> Get:
    process = table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
    return (lambda row: row[name]) if process is None else (lambda row: process(row[name]))


def _constant(value: Any) -> Get:
    return lambda _row: value
