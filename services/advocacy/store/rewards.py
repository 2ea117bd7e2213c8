"""What is owed, to whom, and how did it come to be? A reward and the lines of its move are written together."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import and_, func, or_, select

from services.advocacy.core.ledger import Booking, Reward, Transaction
from services.advocacy.tables import ledger_entry, reward
from shared.db.protocol import Tx

_c = reward.c
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Reward).decode


async def book(tx: Tx, bookings: Sequence[Booking]) -> None:
    """Write each reward as it is now, and each move. A move that was made before is an error, never a second one."""
    latest = {one.reward.id: one.reward for one in bookings}
    await tx.upsert(reward, [_row(one) for one in latest.values()])
    await tx.insert(ledger_entry, [line for one in bookings for line in _lines(one.transaction)])


async def booked(tx: Tx, referrer: str, month: str) -> int:
    """How many rewards the referrer has in that month. The caller holds the referrer's lock."""
    mine = (_c.referrer == referrer, _c.month == month, _c.side == "referrer")
    return int(await tx.scalar(select(func.count()).select_from(reward).where(*mine)))


async def of_referral(tx: Tx, referral: str) -> list[Reward]:
    """The rewards of a referral, locked."""
    rows = await tx.all(select(_c.body).where(_c.referral == referral).order_by(_c.id).with_for_update())
    return [_decode(row.body) for row in rows]


async def one(tx: Tx, name: str) -> Reward | None:
    """One reward, locked."""
    row = await tx.first(select(_c.body).where(_c.id == name).with_for_update())
    return None if row is None else _decode(row.body)


async def ripe(tx: Tx, now: datetime, limit: int, *, automatic: bool) -> list[Reward]:
    """Rewards for which time alone has something to do, locked; those that somebody else has in hand are left out."""
    held = and_(_c.status == "held", _c.payable_at <= now)
    fresh = and_(_c.status == "pending", _c.history.is_(False))
    waiting = select(_c.body).where(or_(held, fresh) if automatic else held).order_by(_c.payable_at, _c.id)
    return [_decode(row.body) for row in await tx.all(waiting.limit(limit).with_for_update(skip_locked=True))]


def _row(one: Reward) -> dict[str, Any]:
    columns = ("id", "referral", "side", "account", "referrer", "month", "status", "payable_at", "history")
    return {**{name: getattr(one, name) for name in columns}, "body": _encode(one)}


def _lines(one: Transaction) -> list[dict[str, Any]]:
    move = {"transaction": one.id, "reward": one.reward, "status": one.status, "at": one.at, "currency": one.currency}
    return [{**move, "account": entry.account, "amount": entry.amount} for entry in one.entries]
