"""Reward repository: a reward and the ledger lines of its move are written together."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select

from services.advocacy.core.ledger import Booking, Reward, Transaction
from services.advocacy.tables import ledger_entry, reward
from shared.db.layouts import Layouts
from shared.db.protocol import Tx

_c = reward.c
REWARDS = Layouts(Reward, 1)


async def book(tx: Tx, bookings: Sequence[Booking]) -> None:
    """Write each reward as it is now, and each move. A move that was made before is an error, never a second one."""
    latest = {booking.reward.id: booking.reward for booking in bookings}
    await tx.upsert(reward, [_row(each) for each in latest.values()])
    await tx.insert(ledger_entry, [line for booking in bookings for line in _lines(booking.transaction)])


async def count_booked(tx: Tx, referrer: str, month: str) -> int:
    """How many rewards the referrer has in that month. The caller has the referrer's lock."""
    own = (_c.referrer_id == referrer, _c.month == month, _c.side == "referrer")
    return int(await tx.scalar(select(func.count()).select_from(reward).where(*own)))


async def load_by_referral_for_update(tx: Tx, referral_id: str) -> list[Reward]:
    """The rewards of a referral, locked."""
    rows = await tx.all(select(_c.body).where(_c.referral_id == referral_id).order_by(_c.id).with_for_update())
    return [REWARDS.decode(row.body) for row in rows]


async def load_for_update(tx: Tx, reward_id: str) -> Reward | None:
    """One reward, locked."""
    row = await tx.first(select(_c.body).where(_c.id == reward_id).with_for_update())
    return None if row is None else REWARDS.decode(row.body)


async def due(tx: Tx, now: datetime, limit: int, *, automatic: bool) -> list[Reward]:
    """Rewards for which time alone has something to do, locked; those that another transaction has locked are left out."""
    hold_over = and_(_c.status == "held", _c.payable_at <= now)
    unreviewed = and_(_c.status == "pending", _c.history.is_(False), _c.needs_review.is_(False))
    waiting = select(_c.body).where(or_(hold_over, unreviewed) if automatic else hold_over)
    ordered = waiting.order_by(_c.payable_at, _c.id).limit(limit)
    return [REWARDS.decode(row.body) for row in await tx.all(ordered.with_for_update(skip_locked=True))]


def _row(state: Reward) -> dict[str, Any]:
    return {
        "id": state.id,
        "referral_id": state.referral,
        "side": state.side,
        "account_id": state.account,
        "referrer_id": state.referrer,
        "month": state.month,
        "status": state.status,
        "payable_at": state.payable_at,
        "history": state.history,
        "needs_review": state.needs_review,
        "body": REWARDS.encode(state),
    }


def _lines(move: Transaction) -> list[dict[str, Any]]:
    line = {"transaction_id": move.id, "reward_id": move.reward, "status": move.status, "at": move.at}
    line["currency"] = move.currency
    return [{**line, "ledger_account": entry.account, "amount": entry.amount} for entry in move.entries]
