"""Crash points: places that no signal can hit (in a transaction, after a commit, around a send), where a process exits on order.

A signal arms a point in a process; the exit code says which point it died at.
"""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from services.notify import wiring
from services.notify.channels.channel import Built, ChannelTable, ConfirmSend, Delivery, Now, Receipt, Sender
from services.notify.handlers import delivery
from shared import storage
from shared.db.postgres import PostgresDatabase
from shared.db.protocol import Tx
from shared.db.sqlite import SqliteDatabase
from shared.settings import Settings

INSIDE, AFTER, NO_RETURN, ACCEPTED = (
    "exit in a transaction",
    "exit after commit",
    "exit at no return",
    "exit unrecorded",
)
POINTS = {point: 71 + place for place, point in enumerate((INSIDE, AFTER, NO_RETURN, ACCEPTED))}
"""Each point and the exit code that tells it was reached."""


def signal_of(point: str) -> int:
    """The signal that arms it."""
    return signal.SIGRTMIN + POINTS[point] - 70


_SKIPPED = 12
"""Transactions that publish nothing are let pass so many times: those that publish are worth more."""

_armed: dict[str, int] = {}


def listen() -> None:
    """From now on a signal arms its point; children inherit this before anybody knows their process id."""
    for point in POINTS:
        signal.signal(signal_of(point), lambda _number, _frame, armed=point: _armed.setdefault(armed, 0))


def crash_at(point: str, *, skippable: bool = False) -> None:
    """Die here, if that was ordered."""
    if point not in _armed:
        return
    _armed[point] += 1
    if not skippable or _armed[point] > _SKIPPED:
        os._exit(POINTS[point])


class _Crashing:
    """Laid over either database."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        async with super().transaction() as tx:  # type: ignore[misc]
            yield tx
            crash_at(INSIDE, skippable=not tx.emitted)
        crash_at(AFTER, skippable=not tx.emitted)


class CrashingPostgres(_Crashing, PostgresDatabase):
    """PostgreSQL whose process may die at any commit."""


class CrashingSqlite(_Crashing, SqliteDatabase):
    """SQLite whose process may die at any commit."""


class CrashingSender:
    """A channel that may die when a message may have arrived, and when it has but nobody wrote it down."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, delivery: Delivery, confirm: ConfirmSend) -> Receipt:
        async def last() -> None:
            await confirm()
            crash_at(NO_RETURN)

        receipt = await self._sender.send(delivery, last)
        if receipt.outcome == "accepted":
            crash_at(ACCEPTED)
        return receipt


class CrashingChannels:
    """The channel table, whose senders may die."""

    def __init__(self, table: ChannelTable) -> None:
        self.traits = table.traits
        self._table = table

    def build(self, settings: Settings, now: Now) -> Built:
        built = self._table.build(settings, now)
        return Built({name: CrashingSender(sender) for name, sender in built.senders.items()}, built.missing)


def install() -> None:
    """Lay the crash points over the product, and make its pauses short: a run has minutes."""
    storage.PostgresDatabase = CrashingPostgres  # type: ignore[misc]
    storage.SqliteDatabase = CrashingSqlite  # type: ignore[misc]
    wiring.CHANNELS = CrashingChannels(wiring.CHANNELS)  # type: ignore[assignment]
    delivery.RETRY_AFTER = tuple(timedelta(seconds=s) for s in (2, 4, 8, 16))
