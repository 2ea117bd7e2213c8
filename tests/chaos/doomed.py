"""Where does a doomed process die? At points that no signal can hit: inside a transaction, right after it, around a send."""

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
from tests.chaos.points import ACCEPTED, AFTER, INSIDE, NO_RETURN, POINTS, signal_of

_DULL = 12
"""So many transactions that publish nothing are let pass: those that do are worth more."""

_armed: dict[str, int] = {}


def listen() -> None:
    """From now on a signal arms its point; children inherit this before anybody knows their process id."""
    for point in POINTS:
        signal.signal(signal_of(point), lambda _number, _frame, armed=point: _armed.setdefault(armed, 0))


def strike(point: str, *, dull: bool = False) -> None:
    """Die here, if that was ordered."""
    if point not in _armed:
        return
    _armed[point] += 1
    if not dull or _armed[point] > _DULL:
        os._exit(POINTS[point])


class _Doomed:
    """Laid over either database."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        async with super().transaction() as tx:  # type: ignore[misc]
            yield tx
            strike(INSIDE, dull=not tx.emitted)
        strike(AFTER, dull=not tx.emitted)


class DoomedPostgres(_Doomed, PostgresDatabase):
    """PostgreSQL whose process may die at any commit."""


class DoomedSqlite(_Doomed, SqliteDatabase):
    """SQLite whose process may die at any commit."""


class DoomedSender:
    """A channel that may die when a message may have arrived, and when it has but nobody wrote it down."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, delivery: Delivery, confirm: ConfirmSend) -> Receipt:
        async def last() -> None:
            await confirm()
            strike(NO_RETURN)

        receipt = await self._sender.send(delivery, last)
        if receipt.outcome == "accepted":
            strike(ACCEPTED)
        return receipt


class DoomedChannels:
    """The channel table, whose senders may die."""

    def __init__(self, table: ChannelTable) -> None:
        self.traits = table.traits
        self._table = table

    def build(self, settings: Settings, now: Now) -> Built:
        built = self._table.build(settings, now)
        return Built({name: DoomedSender(sender) for name, sender in built.senders.items()}, built.missing)


def plant() -> None:
    """Lay the dying over the product, and make its pauses short: a run has minutes."""
    storage.PostgresDatabase = DoomedPostgres  # type: ignore[misc]
    storage.SqliteDatabase = DoomedSqlite  # type: ignore[misc]
    wiring.CHANNELS = DoomedChannels(wiring.CHANNELS)  # type: ignore[assignment]
    delivery.RETRY_AFTER = tuple(timedelta(seconds=s) for s in (2, 4, 8, 16))
