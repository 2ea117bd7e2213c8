"""Where does ingest keep what it remembers?"""

from typing import Any

from sqlalchemy import BigInteger, ClauseElement, Column, Executable, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from shared.db.columns import Utc

metadata = MetaData()


def _seen(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("key", LargeBinary, primary_key=True),
        Column("batch", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


seen = (_seen("ingest_seen_even"), _seen("ingest_seen_odd"))
"""The dedupe window: this week's keys and last week's. `batch` tells which batch brought a key."""

window = Table(
    "ingest_window",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("week", Integer, nullable=False),
)
"""One row: the week whose table is being filled."""

user = Table(
    "ingest_user",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("updated_at", Utc, nullable=False),
)
"""Which account a user belongs to: the latest event that named both, and its moment. Empty: somebody waits to know."""


class Pairs(FunctionElement[Any]):
    """A JSON object of texts, given as text, as a table of `key` and `value`."""

    inherit_cache = True


@compiles(Pairs)
def _each(element: Pairs, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(Pairs, "postgresql")
def _each_text(element: Pairs, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each_text(CAST({compiler.process(element.clauses, **options)} AS JSON))"


class Emptied(Executable, ClauseElement):
    """All of a table's rows gone at once: a week of them is too much for a DELETE on PostgreSQL."""

    inherit_cache = False

    def __init__(self, table: Table) -> None:
        self.table = table


@compiles(Emptied)
def _delete(statement: Emptied, compiler: SQLCompiler, **_options: Any) -> str:
    return f"DELETE FROM {compiler.preparer.format_table(statement.table)}"


@compiles(Emptied, "postgresql")
def _truncate(statement: Emptied, compiler: SQLCompiler, **_options: Any) -> str:
    return f"TRUNCATE {compiler.preparer.format_table(statement.table)}"
