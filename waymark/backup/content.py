"""Content of a backup: rows in the values that SQLite stores, and digests that say whether two tables hold the same.

A time is an integer of microseconds since 1970, a truth value 0 or 1, on either database.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import NamedTuple

import msgspec

Value = None | int | float | str | bytes
Row = Mapping[str, Value]
_BYTES = 16
_MODULUS = 1 << (8 * _BYTES)
_encode = msgspec.msgpack.Encoder().encode
POSITIONS = frozenset({"partition", "batch", "journaled"})
"""Columns of services' tables that speak of places in a log: they are others in another deployment."""
JOURNALS = ("_journal", "_checkpoint")
"""How tables end whose rows are places in a log: they begin anew in another deployment."""


class Digest(msgspec.Struct, frozen=True):
    """How many rows, and a hash over all of them in any order."""

    rows: int
    hash: str


class Digester:
    """Adds rows up. `without`: columns that do not count."""

    def __init__(self, columns: Iterable[str], without: frozenset[str] = frozenset()) -> None:
        self._columns = sorted(set(columns) - without)
        self._rows = 0
        self._sum = 0

    def add(self, row: Row) -> None:
        packed = _encode([row[name] for name in self._columns])
        self._sum = (self._sum + int.from_bytes(blake2b(packed, digest_size=_BYTES).digest(), "big")) % _MODULUS
        self._rows += 1

    def over(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows, counted as they pass."""
        for row in rows:
            self.add(row)
            yield row

    def digest(self) -> Digest:
        return Digest(self._rows, f"{self._sum:0{2 * _BYTES}x}")


class StoredTable(NamedTuple):
    """A table of a schema (on SQLite the schema is that of the service whose table it is)."""

    schema: str
    name: str
    columns: tuple[str, ...]


def digest_of(columns: Iterable[str], rows: Iterable[Row], without: frozenset[str] = frozenset()) -> Digest:
    """The digest of these rows."""
    digester = Digester(columns, without)
    for row in rows:
        digester.add(row)
    return digester.digest()
