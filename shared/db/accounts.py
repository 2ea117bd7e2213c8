"""Account repository: the accounts of one service, a row each, whatever their state is made of.

The row holds the state as a blob (`shared/db/layouts.py`), the columns that lists filter by, and the account's timer:
`next_due` is when time alone has something to do, `replaying` that an import and not the wall clock drives the account.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Table, func, select

from shared.db.layouts import Layouts
from shared.db.protocol import Read, Tx, Values

State = TypeVar("State", bound=Any)
PartitionOf = Callable[[str], int]
"""The partition that an account's messages are in."""


class Stored(NamedTuple, Generic[State]):
    """A locked row. The state is decoded when it is asked for: an account at a time stays in the processor's caches.

    `journaled`: whether the service's journal leads to this state.
    """

    partition: int
    blob: bytes
    layouts: Layouts[State]
    journaled: bool = True

    def state(self) -> State:
        """The account. Each call decodes anew: whoever decoded a state owns it."""
        return self.layouts.decode(self.blob)


class AccountRepository(Generic[State]):
    """Loads and saves accounts.

    `table` has the columns id, partition, next_due, replaying, state, and those that `columns` gives. `begin` makes the
    state of an account of which nothing is known yet (None: this service creates accounts otherwise); the state has its account's id as `id`.
    """

    def __init__(
        self,
        table: Table,
        layouts: Layouts[State],
        columns: Callable[[State], Values],
        begin: Callable[[str], State] | None,
        partition_of: PartitionOf,
    ) -> None:
        self._table = table
        self._layouts = layouts
        self._columns = columns
        self._begin = begin
        self._partition_of = partition_of
        c = table.c
        self._journaled = "journaled" in c
        self._ids, self._states = select(c.id), select(c.id, c.state)
        self._rows = select(c.id, c.partition, c.state, *([c.journaled] if self._journaled else [])).with_for_update()

    async def load(self, read: Read, account_id: str) -> State | None:
        """The account, or None where it is not known."""
        c = self._table.c
        blob = await read.scalar(select(c.state).where(c.id == account_id))
        return None if blob is None else self._layouts.decode(blob)

    async def load_all(self, read: Read, ids: Collection[str]) -> dict[str, State]:
        """Those of these accounts that are known; nothing is locked."""
        rows = await read.among(self._states, self._table.c.id, ids)
        return {row.id: self._layouts.decode(row.state) for row in rows}

    async def lock(self, tx: Tx, ids: Collection[str]) -> dict[str, Stored[State]]:
        """The rows of those that are known, locked in the order of their ids until the transaction ends."""
        rows: list[Any] = await tx.among(self._rows, self._table.c.id, ids)
        layouts = self._layouts  # and columns by their places, of as many rows as a transaction has accounts
        if not self._journaled:
            return {row[0]: Stored(row[1], row[2], layouts) for row in rows}
        return {row[0]: Stored(row[1], row[2], layouts, row[3]) for row in rows}

    async def load_for_update(
        self, tx: Tx, ids: Collection[str], unjournaled: dict[str, bytes] | None = None
    ) -> dict[str, State]:
        """Those of these accounts that are known, locked in the order of their ids until the transaction ends.

        `unjournaled` is filled with the stored states of those of which the journal knows nothing yet.
        """
        found = await self.lock(tx, ids)
        if unjournaled is not None:
            unjournaled |= {account_id: one.blob for account_id, one in found.items() if not one.journaled}
        return {account_id: stored.state() for account_id, stored in found.items()}

    async def load_or_create_for_update(
        self, tx: Tx, ids: Collection[str], unjournaled: dict[str, bytes] | None = None
    ) -> dict[str, State]:
        """All of these accounts, locked; unknown ones are created. `unjournaled` as above.

        They are written, in the order of their ids, before any is locked: consumers of two topics may meet a new account in two
        transactions at once, and whoever held a lock and waited for the other's new row could be waited for.
        """
        known = {row.id for row in await tx.among(self._ids, self._table.c.id, ids)}
        missing = sorted({*ids} - known)
        if missing and self._begin is not None:
            begun = map(self._begin, missing)
            await tx.insert_new(self._table, [self.row(account) for account in begun])
        return await self.load_for_update(tx, ids, unjournaled)

    async def save(self, tx: Tx, accounts: Iterable[State]) -> None:
        """Write the accounts as they are now."""
        await tx.upsert(self._table, [self.row(account) for account in accounts])

    async def save_rows(self, tx: Tx, full: Iterable[Values], partial: Iterable[Values]) -> None:
        """Write whole rows (`row`), and of known accounts only the columns given: where no indexed column moved."""
        await tx.upsert(self._table, full)
        await tx.update(self._table, partial)

    async def due(self, read: Read, partition: int, until: datetime, limit: int) -> list[str]:
        """The accounts of a partition for which time has something to do, the longest overdue first."""
        c = self._table.c
        waiting = select(c.id).where(c.partition == partition, c.next_due <= until, c.replaying.is_(False))
        return [row.id for row in await read.all(waiting.order_by(c.next_due, c.id).limit(limit))]

    async def count_due(self, read: Read, until: datetime) -> int:
        """How many accounts, of all partitions, time has something to do for."""
        c = self._table.c
        waiting = select(func.count()).select_from(self._table).where(c.next_due <= until, c.replaying.is_(False))
        return int(await read.scalar(waiting))

    def encode(self, account: State) -> bytes:
        """The state as its blob."""
        return self._layouts.encode(account)

    def row(self, account: State) -> Values:
        """The whole row of an account."""
        account_id = account.id
        journaled = {"journaled": True} if self._journaled else {}
        return {
            **self._columns(account),
            **journaled,
            "id": account_id,
            "partition": self._partition_of(account_id),
            "state": self._layouts.encode(account),
        }
