"""Tables of ingest: the keys of the dedupe window, the account that each user belongs to, and times that were corrected."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ClauseElement,
    Column,
    Executable,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from shared.db.columns import Utc
from shared.service.saved_counts import counts_table

metadata = MetaData()


def _dedupe_keys(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("key", LargeBinary, primary_key=True),
        Column("batch", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


dedupe_keys = (_dedupe_keys("ingest_dedupe_even"), _dedupe_keys("ingest_dedupe_odd"))
"""The dedupe window: the keys of even and of odd weeks. `batch` says which batch inserted a key."""

dedupe_week = Table(
    "ingest_dedupe_week",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("week", Integer, nullable=False),
)
"""One row: the week whose table is being filled."""

import_mark = Table(
    "ingest_import_mark",
    metadata,
    Column("source", Text, primary_key=True),
    Column("import_id", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("week", Integer, nullable=False),
    Column("this_week", BigInteger, nullable=False),
    Column("week_before", BigInteger, nullable=False),
    Column("earlier", BigInteger, nullable=False),
)
"""How far an import came in each of its streams and each partition of the raw log: the highest position seen in `week`, in the
week before it, and earlier. Few rows an import, kept for ever.
"""

membership = Table(
    "ingest_membership",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False, index=True),
    Column("since", Utc, nullable=False),
    Column("trusted", Boolean, nullable=False, server_default=true()),
)
"""User -> account, by the latest event that named both, and its time. An empty account: events wait for it.

`trusted`: a source other than a browser said so.
"""

corrected_time = counts_table("ingest_corrected_time", metadata)
"""How many times were not believed, by source (`services/ingest/corrected_times.py`)."""


class JsonPairs(FunctionElement[Any]):
    """A JSON object of texts, given as text, as a table of `key` and `value`."""

    inherit_cache = True


@compiles(JsonPairs)
def _json_each(element: JsonPairs, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(JsonPairs, "postgresql")
def _json_each_text(element: JsonPairs, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each_text(CAST({compiler.process(element.clauses, **options)} AS JSON))"


class Truncate(Executable, ClauseElement):
    """All of a table's rows removed at once: a week of them is too much for a DELETE on PostgreSQL."""

    inherit_cache = False

    def __init__(self, table: Table) -> None:
        self.table = table


@compiles(Truncate)
def _delete(statement: Truncate, compiler: SQLCompiler, **_options: Any) -> str:
    return f"DELETE FROM {compiler.preparer.format_table(statement.table)}"


@compiles(Truncate, "postgresql")
def _truncate(statement: Truncate, compiler: SQLCompiler, **_options: Any) -> str:
    return f"TRUNCATE {compiler.preparer.format_table(statement.table)}"
