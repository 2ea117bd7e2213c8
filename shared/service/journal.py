"""Journal of inputs: what each transaction that changed accounts took, so that a replay of it is what happened live.

A row a transaction: a range of a topic (by the places of its records in the archive, the outbox of the service that
published them), a parked record that was redriven, or time. Whatever else the transaction read that is not in the archive
stands in its row: the moment it called now, the definition it decided with. A row holds places, ids and times, never what
people said: that stands in the archive alone.

`n` is drawn from one sequence of the database after the accounts are locked: for each account the order of `n` is that of
the commits, and no row is written by everybody. An account that was there before the journal was, or that an earlier
version of Waymark wrote last, has its state of that moment beside it (a checkpoint): its replay begins there.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text, insert, select

from shared.db.columns import Utc
from shared.db.protocol import Read, Tx

Kind = Literal["range", "redriven", "time", "command"]
"""range: records of a topic; redriven: one that had been parked; time: what the wall clock, or a gap before an event, brought;
command: what somebody asked for, by its name and the ids that it names.
"""


class Taken(NamedTuple):
    """Records of a partition, from `first` to before `end` in their producer's own log, but for `without`.

    `dead_letter`: the id of the parked record that this is; where its place is not known, `first` is -1.
    """

    first: int
    end: int
    without: tuple[int, ...] = ()
    dead_letter: str = ""


class Details(msgspec.Struct, frozen=True, omit_defaults=True):
    """What few rows need. `accounts` are those that time passed for, or that a command is about; `stopped` how far time got in
    those where it ended before.

    `to_event`: it was an event that time passed to, not the wall clock.
    `without`: records of the range that were parked; `unknown`: accounts that were not there when their records were taken.
    """

    accounts: list[str] = []
    stopped: dict[str, datetime] = {}
    without: list[int] = []
    unknown: list[str] = []
    dead_letter: str = ""
    command: str = ""
    arguments: list[str] = []
    to_event: bool = False


_NONE = Details()
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Details).decode


class Input(NamedTuple):
    """What one transaction took, and the moment it called now. `until`: up to when time passed."""

    kind: Kind
    now: datetime
    topic: str | None = None
    partition: int | None = None
    first: int | None = None
    end: int | None = None
    until: datetime | None = None
    details: Details = _NONE


class Entry(NamedTuple):
    """An input in its place, and the version of the definition it was decided with."""

    n: int
    definition: str
    input: Input


class ReplayClock:
    """Tells the moment that an entry called now."""

    def __init__(self) -> None:
        self.time = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


class DefinitionText(NamedTuple):
    """A version of a service's definition, and the files it was read from: name -> bytes."""

    version: str
    files: Mapping[str, bytes]


class Tables(NamedTuple):
    """The tables of one service's journal."""

    journal: Table
    checkpoint: Table
    definition: Table


def tables(service: str, metadata: MetaData) -> Tables:
    """A service's journal. The places in it are those of this deployment's log: a move to the other one begins it anew."""
    number = BigInteger().with_variant(Integer, "sqlite")
    journal = Table(
        f"{service}_journal",
        metadata,
        Column("n", number, primary_key=True, autoincrement=True),
        Column("kind", Text, nullable=False),
        Column("topic", Text),
        Column("partition", Integer),
        Column("first", BigInteger),
        Column("end", BigInteger),
        Column("until", Utc),
        Column("now", Utc, nullable=False),
        Column("definition", Text, nullable=False),
        Column("details", LargeBinary),
    )
    checkpoint = Table(
        f"{service}_checkpoint",
        metadata,
        Column("account_id", Text, primary_key=True),
        Column("n", BigInteger, nullable=False),
        Column("state", LargeBinary, nullable=False),
    )
    definition = Table(
        f"{service}_definition",
        metadata,
        Column("version", Text, primary_key=True),
        Column("files", LargeBinary, nullable=False),
        Column("first_used_at", Utc, nullable=False),
    )
    return Tables(journal, checkpoint, definition)


class Journal:
    """Writes a service's journal. `definition` is what this process decides with."""

    def __init__(self, tables: Tables, definition: DefinitionText) -> None:
        self._tables = tables
        self._definition = definition
        self._is_kept = False
        self._returning = insert(tables.journal).returning(tables.journal.c.n)

    async def write(self, tx: Tx, taken: Input, unknown: Mapping[str, bytes]) -> None:
        """Write what this transaction took. `unknown`: the states, before it, of accounts of which the journal knows nothing."""
        if not self._is_kept:
            self._is_kept = await self._keep(tx, taken.now)
        row = {
            "kind": taken.kind,
            "topic": taken.topic,
            "partition": taken.partition,
            "first": taken.first,
            "end": taken.end,
            "until": taken.until,
            "now": taken.now,
            "definition": self._definition.version,
            "details": None if taken.details is _NONE else _encode(taken.details),
        }
        if not unknown:
            await tx.insert(self._tables.journal, [row])
            return
        n = await tx.scalar(self._returning.values(row))
        rows = [{"account_id": name, "n": n, "state": state} for name, state in unknown.items()]
        await tx.upsert(self._tables.checkpoint, rows)

    async def _keep(self, tx: Tx, now: datetime) -> bool:
        """Keep the text of the definition, once. Whether it was committed before: what this transaction writes may roll back."""
        table, version = self._tables.definition, self._definition.version
        if await tx.scalar(select(table.c.version).where(table.c.version == version)) is not None:
            return True
        files = _encode(dict(self._definition.files))
        await tx.insert_new(table, [{"version": version, "files": files, "first_used_at": now}])
        return False


async def entries(read: Read, tables: Tables, after: int, limit: int) -> list[Entry]:
    """The journal's next entries, in order. From one snapshot: one that commits later may have a lower number."""
    c = tables.journal.c
    rows = await read.all(select(tables.journal).where(c.n > after).order_by(c.n).limit(limit))
    return [
        Entry(
            row.n,
            row.definition,
            Input(
                *(row.kind, row.now, row.topic, row.partition, row.first, row.end, row.until),
                details=_NONE if row.details is None else _decode(row.details),
            ),
        )
        for row in rows
    ]


async def definition_files(read: Read, tables: Tables, version: str) -> dict[str, bytes]:
    """The files of a version of the definition. Raises LookupError where it was not kept."""
    c = tables.definition.c
    files = await read.scalar(select(c.files).where(c.version == version))
    if files is None:
        raise LookupError(f"the definition {version} is not in {tables.definition.name}")
    return msgspec.msgpack.decode(files, type=dict[str, bytes])


class Checkpoint(NamedTuple):
    """An account's state before the entry `n`, the first that the journal has of it."""

    account: str
    n: int
    state: bytes


async def checkpoints(read: Read, tables: Tables, after: str, limit: int) -> list[Checkpoint]:
    """The checkpoints, in the order of their accounts."""
    c = tables.checkpoint.c
    found = select(c.account_id, c.n, c.state).where(c.account_id > after).order_by(c.account_id).limit(limit)
    return [Checkpoint(row.account_id, row.n, bytes(row.state)) for row in await read.all(found)]


def of_batch(topic: str, partition: int, taken: Taken | None, now: datetime, unknown: Sequence[str] = ()) -> Input:
    """The input that a batch is. `unknown`: accounts that were not there. `taken` is None for records that are in no archive."""
    if taken is None:
        return Input("range", now, topic, partition)
    if taken.dead_letter:
        details = Details(dead_letter=taken.dead_letter, unknown=sorted(unknown))
        return Input("redriven", now, topic, partition, taken.first, taken.end, details=details)
    plain = not taken.without and not unknown
    details = _NONE if plain else Details(without=list(taken.without), unknown=sorted(unknown))
    return Input("range", now, topic, partition, taken.first, taken.end, details=details)


def of_command(name: str, arguments: Sequence[str], accounts: Sequence[str], now: datetime) -> Input:
    """The input that a command is. Its arguments are ids: what somebody wrote stands in a row of its own."""
    return Input("command", now, details=Details(accounts=list(accounts), command=name, arguments=list(arguments)))


def of_time(
    partition: int,
    accounts: Sequence[str],
    until: datetime,
    stopped: Mapping[str, datetime],
    now: datetime,
    *,
    to_event: bool = False,
) -> Input:
    """The input that time is, for these accounts."""
    details = Details(accounts=list(accounts), stopped=dict(stopped), to_event=to_event)
    return Input("time", now, partition=partition, until=until, details=details)
