"""Database protocol: reads, and inside a transaction writes and messages for the outbox.

Two types over one connection: a `Read` cannot write, so mypy refuses a write in a query. Neither has a commit:
the transaction is opened and closed at the edge (`Database.transaction()`), never in a handler.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Executable, Row, Select, Table

from shared.contracts.topics import KeyedMessage, Topic

Values = Mapping[str, Any]


class Read(Protocol):
    """A consistent view. Statements are SQLAlchemy Core; rows come back as SQLAlchemy rows."""

    async def all(self, statement: Executable, values: Values | None = None) -> Sequence[Row[Any]]:
        """Every row of the answer."""
        ...

    async def first(self, statement: Executable, values: Values | None = None) -> Row[Any] | None:
        """The first row, or None."""
        ...

    async def scalar(self, statement: Executable, values: Values | None = None) -> Any:
        """The first column of the first row, or None."""
        ...

    async def among(self, statement: Select[Any], column: ColumnElement[Any], keys: Collection[Any]) -> list[Row[Any]]:
        """The rows whose column is one of these keys, however many: sorted by it (and locked so, if the statement locks)."""
        ...


class Tx(Read, Protocol):
    """One transaction: reads, writes, and messages that become visible exactly when it commits."""

    async def run(self, statement: Executable, values: Values | None = None) -> int:
        """One write; the number of rows it touched."""
        ...

    async def each(self, statement: Executable, rows: Sequence[Values]) -> None:
        """The same write for each of these, in order: one way to the database, not one a row."""
        ...

    async def insert(self, table: Table, rows: Iterable[Values]) -> None:
        """Many new rows, all with the same columns; a conflict is an error."""
        ...

    async def insert_new(self, table: Table, rows: Iterable[Values], unless_in: Table | None = None) -> int:
        """Many rows, those whose key is already there (or whose primary key stands in `unless_in`) left out; how many were new."""
        ...

    async def upsert(self, table: Table, rows: Iterable[Values]) -> None:
        """Many rows by primary key: new ones inserted, known ones overwritten in the columns given."""
        ...

    async def update(self, table: Table, rows: Iterable[Values]) -> None:
        """Many known rows by primary key, overwritten in the columns given. Raises LookupError when one is not there."""
        ...

    def emit(self, topic: Topic, messages: Iterable[KeyedMessage]) -> None:
        """Publish messages (each with an `account`, its key) with this transaction, in this order for each account."""
        ...


class Emitted(NamedTuple):
    """Messages of one transaction for one topic, in order; each has an `account`, its key."""

    topic: Topic
    messages: Iterable[KeyedMessage]


class Outbox(Protocol):
    """The log of published messages beside the state. Messages become its rows just before the transaction commits."""

    async def append(self, tx: Tx, emitted: list[Emitted]) -> None:
        """Write the messages as rows of this transaction, as the last thing before its commit."""
        ...

    def appended(self, topics: set[str]) -> None:
        """The transaction committed: wake the relay or the readers of these topics."""
        ...


class Database(Protocol):
    """A service's own store."""

    def transaction(self) -> AbstractAsyncContextManager[Tx]:
        """One batch, one transaction: commits when the block ends, rolls back when it raises."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Read]:
        """A read-only view for queries."""
        ...

    async def check_writable(self) -> None:
        """Raises Retry where somebody else keeps this process from writing. Writes nothing, waits for no writer of ours."""
        ...

    async def server_time(self) -> datetime | None:
        """The time on the clock of the database's server; None where the database is a file of this machine."""
        ...

    async def close(self) -> None:
        """Give every connection back."""
        ...
