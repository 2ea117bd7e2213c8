"""Replay: a service's journal read back with the records of the archive, and applied once more to another database."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Column, Table, select

from shared.bus.archive import Archive, Gone
from shared.bus.protocol import Partition
from shared.bus.tables import dead_letter
from shared.contracts.topics import Topic, decoder
from shared.db.layouts import Layouts
from shared.db.protocol import Database, Read, Tx
from shared.service.journal import Checkpoint, Entry, Tables, checkpoints, definition_files, entries

PAGE = 200
"""Entries, or checkpoints, that share a transaction of the replay."""


class Compared(NamedTuple):
    """A table in which a replay must come to the same rows: those of an account are found by `key`.

    `without`: columns that say where the account is kept, not what is known of it. `state`: a column that holds the account
    in some layout. Where there is a `seq`, rows up to that of a checkpoint were written before the journal was; `whole`: which
    rows were cannot be told, so those of accounts with a checkpoint are not compared.
    """

    table: Table
    key: str
    without: frozenset[str] = frozenset()
    state: str = ""
    seq: str = ""
    whole: bool = False


class Replays(Protocol):
    """What a service gives so that its journal can be applied."""

    @property
    def journal(self) -> Tables: ...

    @property
    def topics(self) -> Mapping[str, Topic]: ...

    @property
    def accounts(self) -> Table: ...

    @property
    def layouts(self) -> Layouts[Any]: ...

    @property
    def compared(self) -> Sequence[Compared]: ...

    @property
    def shared(self) -> Sequence[Table]:
        """Tables whose rows several accounts make together: the same only where all are replayed from their beginning."""
        ...

    def knows(self, version: str) -> bool: ...

    def define(self, version: str, files: Mapping[str, bytes]) -> None: ...

    async def begin(self, tx: Tx, checkpoints: Sequence[Checkpoint]) -> dict[str, int]: ...

    async def apply(
        self, tx: Tx, live: Read, entry: Entry, messages: Sequence[Any], accounts: Collection[str]
    ) -> None: ...


class EntryTaken(NamedTuple):
    """An entry with what it took: messages, or accounts for which time passed."""

    entry: Entry
    messages: list[Any]
    accounts: list[str]


class Reading:
    """Reads a journal in order. `only`: of these accounts; None: of all. `without`: ids of messages as if nobody had sent them."""

    def __init__(
        self,
        read: Read,
        tables: Tables,
        topics: Mapping[str, Topic],
        archive: Archive,
        only: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> None:
        self._read = read
        self._tables = tables
        self._decoders = {name: decoder(topic) for name, topic in topics.items()}
        self._archive = archive
        self._only = None if only is None else frozenset(only)
        self._without = frozenset(without)
        self._keys = None if only is None else {one.encode() for one in only}
        self.starts: dict[str, int] = {}
        """For each account with a checkpoint the entry before which it begins."""
        self.lost: list[str] = []
        """What entries took that is not kept any more: their accounts come out otherwise, unless they begin later."""

    async def checkpoints(self) -> AsyncIterator[list[Checkpoint]]:
        """The states to begin with, a page at a time. Read them all before the entries."""
        after = ""
        while page := await checkpoints(self._read, self._tables, after, PAGE):
            after = page[-1].account
            mine = [one for one in page if self._only is None or one.account in self._only]
            self.starts |= {one.account: one.n for one in mine}
            yield mine

    async def pages(self) -> AsyncIterator[list[EntryTaken]]:
        """The entries that concern these accounts, a page at a time. What is not kept any more is passed over, and noted."""
        after = 0
        while page := await entries(self._read, self._tables, after, PAGE):
            after = page[-1].n
            yield [taken for entry in page if (taken := await self._taken(entry)) is not None]

    async def _taken(self, entry: Entry) -> EntryTaken | None:
        taken = entry.input
        if taken.kind in {"time", "command"}:
            accounts = [one for one in taken.details.accounts if self._concerns(one, entry.n)]
            everybody = taken.kind == "command" and self._only is None
            return EntryTaken(entry, [], accounts) if accounts or everybody else None
        decode = self._decoders[taken.topic or ""]
        try:
            values = await self._values(entry)
        except Gone as error:
            self.lost.append(str(error))
            return None
        messages = [
            message
            for key, value in values
            if self._keys is None or key in self._keys
            if self._concerns((message := decode(value)).account, entry.n) and message.id not in self._without
        ]
        return EntryTaken(entry, messages, []) if messages else None

    def _concerns(self, account: str, n: int) -> bool:
        return (self._only is None or account in self._only) and self.starts.get(account, 0) <= n

    async def _values(self, entry: Entry) -> list[tuple[bytes, bytes]]:
        taken = entry.input
        if taken.first is None or taken.end is None:
            raise Gone(f"entry {entry.n} took records of {taken.topic} that no service of ours published")
        if taken.first < 0:
            return [await self._dead_letter(entry)]
        partition, left_out = Partition(taken.topic or "", taken.partition or 0), frozenset(taken.details.without)
        records = await self._archive.records(partition, taken.first, taken.end)
        return [(one.key, one.value) for place, one in enumerate(records, taken.first) if place not in left_out]

    async def _dead_letter(self, entry: Entry) -> tuple[bytes, bytes]:
        c, name = dead_letter.c, entry.input.details.dead_letter
        row = await self._read.first(select(c.key, c.value).where(c.id == name))
        if row is None:
            raise Gone(f"entry {entry.n} took the parked record {name}, which is not kept any more")
        return bytes(row.key), bytes(row.value)


class Counts(NamedTuple):
    """What a replay applied; `lost`: what it could not, because it is not kept any more."""

    entries: int = 0
    messages: int = 0
    checkpoints: int = 0
    lost: Sequence[str] = ()


async def replay(
    read: Read,
    archive: Archive,
    target: Database,
    service: Replays,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
) -> tuple[Counts, dict[str, int]]:
    """Apply the journal that `read` shows to an empty database. For each account with a checkpoint its latest decision of before.

    Raises LookupError for a definition that was not kept, DefinitionError for one that this version cannot read.
    """
    reading = Reading(read, service.journal, service.topics, archive, only, without)
    done, floors = Counts(), dict[str, int]()
    async for some in reading.checkpoints():
        async with target.transaction() as tx:
            floors |= await service.begin(tx, some)
        done = done._replace(checkpoints=done.checkpoints + len(some))
    async for page in reading.pages():
        async with target.transaction() as tx:
            for taken in page:
                version = taken.entry.definition
                if not service.knows(version):
                    service.define(version, await definition_files(read, service.journal, version))
                await service.apply(tx, read, *taken)
                done = done._replace(entries=done.entries + 1, messages=done.messages + len(taken.messages))
    return done._replace(lost=reading.lost), floors


class Difference(NamedTuple):
    """Something of an account that a replay does not come to: the table, the row's number or column, both values."""

    account: str
    where: str
    live: object
    again: object


class Comparison(NamedTuple):
    """How many accounts are the same, how many the journal has not seen yet, and what differs."""

    same: int
    unseen: int
    differing: list[Difference]


async def compare(
    live: Read,
    again: Read,
    service: Replays,
    floors: Mapping[str, int],
    only: Collection[str] | None = None,
    kept_since: datetime | None = None,
) -> Comparison:
    """Hold the replayed rows of every account against those that stand. Decisions before `kept_since` may have been deleted."""
    c, after, same, unseen = service.accounts.c, "", 0, 0
    found: list[Difference] = []
    page = select(c.id, c.journaled).order_by(c.id).limit(PAGE)
    while rows := await live.all(page.where(c.id > after)):
        after = rows[-1].id
        mine = [row for row in rows if only is None or row.id in only]
        unseen += sum(not row.journaled for row in mine)
        ids = [row.id for row in mine if row.journaled]
        differing: list[Difference] = []
        for compared in service.compared:
            differing += await _differences(live, again, compared, service.layouts, ids, floors, kept_since)
        found += differing
        same += len(ids) - len({one.account for one in differing})
    found += [Difference(one, service.accounts.name, None, "an account") for one in await _invented(live, again, c.id)]
    if only is None and not floors and not unseen:
        for table in service.shared:
            found += await _shared_differences(live, again, table)
    return Comparison(same, unseen, found)


async def _shared_differences(live: Read, again: Read, table: Table) -> list[Difference]:
    here, there = await _by_key(live, table), await _by_key(again, table)
    return [
        Difference(key, table.name, here.get(key), there.get(key))
        for key in sorted(here.keys() | there.keys())
        if here.get(key) != there.get(key)
    ]


async def _by_key(read: Read, table: Table) -> dict[str, tuple[Any, ...]]:
    names = [column.name for column in table.primary_key]
    rows = [row._asdict() for row in await read.all(select(table))]
    return {" ".join(str(row[name]) for name in names): tuple(row.values()) for row in rows}


async def _invented(live: Read, again: Read, key: Column[str]) -> list[str]:
    """Accounts that are in the replay alone."""
    after, found = "", list[str]()
    while ids := [row[0] for row in await again.all(select(key).where(key > after).order_by(key).limit(PAGE))]:
        after = ids[-1]
        found += sorted({*ids} - {row[0] for row in await live.among(select(key), key, ids)})
    return found


async def _differences(
    live: Read,
    again: Read,
    compared: Compared,
    layouts: Layouts[Any],
    ids: Sequence[str],
    floors: Mapping[str, int],
    kept_since: datetime | None,
) -> list[Difference]:
    if compared.whole:
        ids = [one for one in ids if one not in floors]
    here = await _rows(live, compared, ids, floors)
    there = await _rows(again, compared, ids, floors)
    found = []
    for place in sorted(here.keys() | there.keys()):
        name = f"{compared.table.name} {place[1]}".strip()
        if place not in here or place not in there:
            if place in there and kept_since is not None and _before(there[place], kept_since):
                continue
            found.append(Difference(place[0], name, here.get(place), there.get(place)))
            continue
        for column, value in here[place].items():
            other = there[place][column]
            if value == other or (column == compared.state and _same_state(layouts, value, other)):
                continue
            found.append(Difference(place[0], f"{name}.{column}", value, other))
    return found


async def _rows(
    read: Read, compared: Compared, ids: Sequence[str], floors: Mapping[str, int]
) -> dict[tuple[str, str], dict[str, Any]]:
    table = compared.table
    columns = [column for column in table.c if column.name not in compared.without]
    rows = [row._asdict() for row in await read.among(select(*columns), table.c[compared.key], ids)]
    if not compared.seq:
        keys = [column.name for column in table.primary_key if column.name != compared.key]
        return {(row[compared.key], " ".join(str(row[name]) for name in keys)): row for row in rows}
    return {
        (row[compared.key], f"{row[compared.seq]:09}"): row
        for row in rows
        if row[compared.seq] > floors.get(row[compared.key], 0)
    }


def _before(row: Mapping[str, Any], then: datetime) -> bool:
    at = row.get("at")
    return isinstance(at, datetime) and at.astimezone(UTC) < then


def _same_state(layouts: Layouts[Any], one: bytes, other: bytes) -> bool:
    """Whether two blobs hold the same account: an earlier version may have written one in its layout."""
    return layouts.encode(layouts.decode(bytes(one))) == layouts.encode(layouts.decode(bytes(other)))
