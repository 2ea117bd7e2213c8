"""Three services: the handlers of lifecycle, notify and advocacy over one database; a schedule says who reads how much, and when.

Each topic keeps the order of each account, and no other: a batch is of any accounts, and of any number of messages of each. So a
schedule stands for every number of partitions and of processes, and every speed of theirs.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Table, select

from services.advocacy import tables as advocacy
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.invitations import Addresses
from services.advocacy.handlers import Handlers as AdvocacyHandlers
from services.lifecycle import tables as lifecycle
from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.handlers import Handlers as LifecycleHandlers
from services.lifecycle.store import is_early_feedback_due
from services.notify import tables as notify
from services.notify.core.person import PersonKeys
from services.notify.definition import Definition
from services.notify.handlers.planning import MessageWriter, PlanningHandlers
from services.notify.persons import Persons
from services.notify.store import repository
from services.notify.waiting import Patience
from shared.contracts.topics import ADVOCACY, LIFECYCLE, OUTREACH, USAGE, KeyedMessage, Topic, decoder
from shared.contracts.usage import UsageEvent
from shared.db.protocol import Emitted, Tx
from shared.db.sqlite import SqliteDatabase
from shared.links import Links
from shared.service.processor import MessageBatch
from tests.make import FakeClock

_SECRET = b"s" * 32
_FOREVER = 1e9
_AT_ONCE = 500
_LATER = timedelta(seconds=31)
"""What is said of a history is taken when nothing more was said for half a minute."""
TABLES: tuple[Table, ...] = (
    *(lifecycle.account, lifecycle.decision, lifecycle.stage_visit, lifecycle.early_feedback),
    *(notify.account, notify.delivery, notify.waiting, notify.person),
    *(advocacy.account, advocacy.invitation, advocacy.answer, advocacy.note),
    *(advocacy.code, advocacy.referral, advocacy.reward, advocacy.ledger_entry),
)
"""Whose rows must be the same, value for value."""
_NOBODY = ("[]", None, None)
"""What a person's row says of whom nothing is known: it was locked once."""
Rows = dict[str, list[tuple[Any, ...]]]
_encode = msgspec.json.Encoder().encode
_DECODE = {topic.name: decoder(topic) for topic in (USAGE, LIFECYCLE, OUTREACH, ADVOCACY)}


class Company(NamedTuple):
    """What the three services go by."""

    lifecycle: CompiledDefinition
    notify: Definition
    advocacy: Definitions


class Schedule:
    """Choices, one after the other; where they have run out each is 0: the first reader, all accounts, all their messages."""

    def __init__(self, choices: Sequence[int] = ()) -> None:
        self._choices = iter(choices)

    def one_of(self, number: int) -> int:
        """One of so many."""
        return next(self._choices, 0) % number

    def some(self, names: Sequence[str]) -> list[str]:
        """Some of these, in any order; not none."""
        chosen = self.one_of(1 << len(names))
        found = [name for place, name in enumerate(names) if not chosen or chosen >> place & 1]
        return found[::-1] if self.one_of(2) else found


class Log:
    """Implements `Outbox`: what was published, by topic and account, in order."""

    def __init__(self) -> None:
        self.messages: dict[tuple[str, str], list[bytes]] = defaultdict(list)

    async def append(self, _tx: Tx, emitted: list[Emitted]) -> None:
        for topic, messages in emitted:
            self.publish(topic, messages)

    def publish(self, topic: Topic, messages: Any) -> None:
        for message in messages:
            self.messages[topic.name, message.account].append(_encode(message))

    def appended(self, topics: set[str]) -> None:
        """Nobody waits for it."""


class Reader:
    """A consumer of one topic, and how far it has read each account."""

    def __init__(self, topic: Topic, log: Log, handle: Callable[[Tx, MessageBatch], Awaitable[None]]) -> None:
        self._topic = topic
        self._log = log
        self._handle = handle
        self._read: dict[str, int] = defaultdict(int)

    def unread(self, of: Sequence[str]) -> list[str]:
        """Which of these accounts it has messages of."""
        return [one for one in of if self._read[one] < len(self._log.messages[self._topic.name, one])]

    def read_again(self, account: str) -> None:
        """From the beginning."""
        self._read[account] = 0

    async def take(self, database: SqliteDatabase, schedule: Schedule, accounts: Sequence[str]) -> None:
        """One batch of these accounts: of each as many messages as the schedule says, in turns or one account after the other."""
        taken = [self._next_of(account, schedule) for account in accounts]
        turns = schedule.one_of(2)
        messages = [*_in_turns(taken)] if turns else [message for one in taken for message in one]
        async with database.transaction() as tx:
            await self._handle(tx, MessageBatch(self._topic, 0, 0, messages))

    def _next_of(self, account: str, schedule: Schedule) -> list[KeyedMessage]:
        every, start = self._log.messages[self._topic.name, account], self._read[account]
        many = schedule.one_of(8) or len(every)
        self._read[account] = min(len(every), start + many)
        return [_DECODE[self._topic.name](one) for one in every[start : self._read[account]]]


def _in_turns(taken: list[list[KeyedMessage]]) -> Iterator[KeyedMessage]:
    for place in range(max(map(len, taken), default=0)):
        yield from (one[place] for one in taken if place < len(one))


class ThreeServices:
    """Their handlers, their readers and their timers over one database."""

    def __init__(self, company: Company, file: Path, accounts: Sequence[str], clock: FakeClock) -> None:
        self.log, self.clock, self.accounts = Log(), clock, accounts
        self.database = SqliteDatabase(file, self.log)
        links = Links(_SECRET)
        self._lifecycle = LifecycleHandlers(company.lifecycle, _one_partition, clock)
        self._advocacy = AdvocacyHandlers(
            company.advocacy, _one_partition, Addresses("https://waymark.example", links), clock
        )
        self._notify = PlanningHandlers(
            company.notify.playbook,
            MessageWriter(company.notify, links, "https://waymark.example"),
            repository(_one_partition),
            Persons(PersonKeys(_SECRET)),
            clock,
            patience=Patience(_FOREVER),
        )
        self._usage = Reader(USAGE, self.log, self._lifecycle.usage)
        self._followed = Reader(LIFECYCLE, self.log, self._advocacy.messages)
        self._asked = Reader(ADVOCACY, self.log, self._notify.handle)
        self._told = Reader(LIFECYCLE, self.log, self._notify.handle)
        self._reported = Reader(OUTREACH, self.log, self._advocacy.messages)
        fed_back = (Reader(topic, self.log, self._lifecycle.feedback) for topic in (OUTREACH, ADVOCACY))
        self._readers = [self._usage, self._followed, self._asked, self._told, self._reported, *fed_back]
        self._timers = [
            (self._lifecycle, self._lifecycle.accounts),
            (self._advocacy, self._advocacy.accounts),
            (self._notify, repository(_one_partition)),
        ]

    def publish(self, events: Sequence[UsageEvent]) -> None:
        """As ingest does."""
        self.log.publish(USAGE, events)

    async def in_any_order(self, schedule: Schedule, again: Sequence[str] = ()) -> None:
        """Until nothing is to be done: each time any reader takes some, or a timer fires. `again` are read twice by who may."""
        again = list(again)
        while True:
            able = [reader for reader in self._readers if reader.unread(self.accounts)]
            due = [*await self._due()]
            if not able and not due and not await self._has_early():
                if not again:
                    return
                self._read_again(again.pop())
                continue
            choice = schedule.one_of(len(able) + len(due) + 2)
            if choice < len(able):
                await able[choice].take(self.database, schedule, schedule.some(able[choice].unread(self.accounts)))
            elif choice < len(able) + len(due):
                await self._fire(*due[choice - len(able)], schedule)
            elif again:
                self._read_again(again.pop())
            else:
                await self._take_early()

    async def in_order_of_cause(self, schedule: Schedule) -> None:
        """Until nothing is to be done, live: what is said of some accounts goes through all services before more is taken of them."""
        while True:
            due = {name for _, names in [*await self._due()] for name in names}
            able = [one for one in self.accounts if one in due or any(reader.unread([one]) for reader in self._readers)]
            if not able and not await self._has_early():
                return
            some = schedule.some(able) if able else []
            await self._take_early()
            for handlers, repository_ in self._timers:
                await self._fire(handlers, await self._due_of(repository_, some), Schedule())
                for reader in self._readers:
                    while unread := reader.unread(some):
                        await reader.take(self.database, schedule, unread)

    async def settle(self, schedule: Schedule) -> None:
        """What was said of history is taken."""
        self.clock.move(_LATER)
        await self.in_order_of_cause(schedule)

    async def rows(self) -> Rows:
        """All that there is."""
        async with self.database.snapshot() as read:
            return {
                table.name: [
                    tuple(row)
                    for row in await read.all(select(table).order_by(*table.primary_key.columns))
                    if row[1:] != _NOBODY
                ]
                for table in TABLES
            }

    def _read_again(self, account: str) -> None:
        for reader in (self._followed, self._asked, self._told):
            reader.read_again(account)

    async def _due(self) -> list[tuple[Any, list[str]]]:
        found = [(handlers, await self._due_of(accounts, self.accounts)) for handlers, accounts in self._timers]
        return [(handlers, names) for handlers, names in found if names]

    async def _due_of(self, accounts: Any, names: Sequence[str]) -> list[str]:
        async with self.database.snapshot() as read:
            return [one for one in await accounts.due(read, 0, self.clock.now(), _AT_ONCE) if one in names]

    async def _fire(self, handlers: Any, names: Sequence[str], schedule: Schedule) -> None:
        if names:
            async with self.database.transaction() as tx:
                await handlers.advance_time(tx, schedule.some(names), self.clock.now())

    async def _has_early(self) -> bool:
        async with self.database.snapshot() as read:
            return await is_early_feedback_due(read)

    async def _take_early(self) -> None:
        if await self._has_early():
            async with self.database.transaction() as tx:
                await self._lifecycle.take_early(tx)


def _one_partition(_account: str) -> int:
    return 0
