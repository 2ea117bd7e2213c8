"""Waiting messages: the rows of what an account cannot take yet, and how long it is waited for."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, bindparam, delete, distinct, exists, func, select

from services.notify.core.order import Line
from services.notify.core.state import Account
from services.notify.tables import account, waiting
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.lifecycle import LifecycleMessage
from shared.contracts.topics import ADVOCACY, LIFECYCLE, decoder
from shared.db.protocol import Read, Tx, Values

LONGEST = timedelta(days=3)
"""So long a message waits for advocacy's word about its account, while advocacy speaks of others: it may have parked one."""
EVERY = 2**31 - 1
"""A sequence number behind every message."""
_c = waiting.c
_message, _request = decoder(LIFECYCLE), decoder(ADVOCACY)
_encode = msgspec.json.Encoder().encode


class Patience:
    """Whether advocacy is still waited for: it is silent for less than so many seconds, as long as this process runs.

    Measured in running time: neither a clock that jumps nor a machine that slept says that somebody was silent.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._heard: float | None = None

    def heard(self) -> None:
        """Advocacy follows what we wait for."""
        self._heard = asyncio.get_running_loop().time()

    @property
    def is_over(self) -> bool:
        if self._heard is None:
            self.heard()
        return asyncio.get_running_loop().time() - (self._heard or 0.0) >= self._seconds


async def load(tx: Tx, until: Mapping[str, int], accounts: Mapping[str, Account]) -> dict[str, Line]:
    """Of these accounts what waits up to these sequence numbers, in order."""
    if not until:
        return {}
    rows = await tx.among(select(waiting).where(_c.seq <= max(until.values())), _c.account, until)
    messages: dict[str, list[LifecycleMessage]] = {}
    requests: dict[str, list[OutreachRequested]] = {}
    for row in sorted(rows, key=lambda row: row.seq):
        if row.seq <= until[row.account] and row.request:
            requests.setdefault(row.account, []).append(_request(row.body))
        elif row.seq <= until[row.account]:
            messages.setdefault(row.account, []).append(_message(row.body))
    return {
        account_id: Line(
            (*messages.get(account_id, ()),), _as_they_came(accounts[account_id], requests.get(account_id, ()))
        )
        for account_id in messages.keys() | requests.keys()
    }


def _as_they_came(state: Account, requests: Iterable[OutreachRequested]) -> tuple[OutreachRequested, ...]:
    place = {request_id: number for number, request_id in enumerate(state.waiting_requests)}
    return tuple(sorted(requests, key=lambda one: place.get(one.id, -1)))


async def save(tx: Tx, before: Mapping[str, Line], after: Mapping[str, Line], now: datetime) -> None:
    """Delete what was taken, write what waits since."""
    were, are = _by_id(before), _by_id(after)
    await tx.insert_new(waiting, [_row(message, now) for message_id, message in are.items() if message_id not in were])
    await tx.each(_TAKE, [{"taken": message_id} for message_id in were if message_id not in are])


_TAKE = delete(waiting).where(_c.id == bindparam("taken"))


async def in_vain(read: Read, partition: int, until: datetime, limit: int, *, everything: bool) -> list[str]:
    """Accounts of a partition whose log is read as far as `until`, for which something waits in vain; with `everything`, all for which something waits.

    A request waits for a message that was in the log before it: where the log has no more, that was parked.
    """
    of_partition = select(_c.account).join(account, account.c.id == _c.account).where(account.c.partition == partition)
    found = of_partition.where(*_vain(until, everything=everything)).group_by(_c.account)
    rows = await read.all(found.order_by(func.min(_c.since), _c.account).limit(limit))
    return [row.account for row in rows]


async def count_in_vain(read: Read, until: datetime, *, everything: bool) -> int:
    """How many accounts those of all partitions are, where all of the log is read."""
    found = select(func.count(distinct(_c.account))).where(*_vain(until, everything=everything))
    return int(await read.scalar(found))


def _vain(until: datetime, *, everything: bool) -> list[ColumnElement[bool]]:
    if everything:
        return []
    other = waiting.alias()
    messages = exists().where(other.c.account == _c.account, other.c.request.is_(False))
    return [(_c.since <= until - LONGEST) | ((_c.since <= until) & ~messages)]


def _by_id(lines: Mapping[str, Line]) -> dict[str, LifecycleMessage | OutreachRequested]:
    return {message.id: message for line in lines.values() for message in (*line.messages, *line.requests)}


def _row(message: LifecycleMessage | OutreachRequested, now: datetime) -> Values:
    request = isinstance(message, OutreachRequested)
    return {
        "id": message.id,
        "account": message.account,
        "seq": message.behind if isinstance(message, OutreachRequested) else message.seq,
        "request": request,
        "since": now,
        "body": _encode(message),
    }
