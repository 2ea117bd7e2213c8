"""Referral repository: codes, referrals and the rewards booked for them, and the evaluation of referrals in the database.

The code and the account that used it are in different partitions: whoever comes second finds what the first one wrote.
Locks are taken in one order: codes, then referrers, then rewards. The lock of a code orders everybody who evaluates by it.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Self, assert_never

from msgspec.structs import replace
from sqlalchemy import and_, func, or_, select, update

from services.advocacy.core.attribution import evaluate, merge_facts
from services.advocacy.core.decisions import Decision, Published, ReversalRequired, ReviewRequired
from services.advocacy.core.definitions import Referrals
from services.advocacy.core.ledger import REWARD, Booking, Reward, Transaction, transition_reward
from services.advocacy.core.referral import Code, Referral
from services.advocacy.store import invitations
from services.advocacy.tables import code, ledger_entry, referral, referrer, reward
from shared.contracts.advocacy import ReferralConverted, RewardBooked
from shared.db.layouts import Layouts, renamed
from shared.db.protocol import Read, Tx

_c, _r = code.c, referral.c
_rename_in_signup = renamed(born="first_seen_at")
_w = reward.c
REWARDS = Layouts(Reward, 1)


def rename_in_signup(plain: dict[str, Any]) -> dict[str, Any]:
    """An upcaster of what has a sign-up: layout 2 has the field's name of when the account was first seen."""
    return {**plain, "signup": _rename_in_signup(plain["signup"])} if plain.get("signup") else plain


CODES = Layouts(Code, 1)
REFERRALS = Layouts(Referral, 2, {1: rename_in_signup})


async def load_codes_for_update(tx: Tx, codes: Collection[str]) -> dict[str, Code | None]:
    """These codes locked in order, None for one that nobody holds.

    Such a code has a row too: else whoever issues it and whoever signs up with it could miss each other.
    """
    await tx.insert_new(code, [{"code": each} for each in sorted(codes)])
    rows = await tx.among(select(_c.code, _c.body).with_for_update(), _c.code, codes)
    return {row.code: CODES.decode(row.body) if row.body else None for row in rows}


async def lock_referrers(tx: Tx, accounts: Collection[str]) -> None:
    """Lock these accounts' rewards, in order: nobody else counts their month meanwhile."""
    await tx.insert_new(referrer, [{"account_id": account} for account in sorted(accounts)])
    await tx.among(select(referrer.c.account_id).with_for_update(), referrer.c.account_id, accounts)


async def save_code(tx: Tx, issued: Code) -> None:
    """Write the code with its holder: the columns name one who said yes, of whose codes there is one. The caller has locked it."""
    values: dict[str, Any] = {"account_id": issued.account, "user_id": issued.user, "issued_at": issued.issued_at}
    if issued.reserved:
        values |= {"account_id": None, "user_id": None}
    await tx.run(update(code).where(_c.code == issued.code).values(**values, body=CODES.encode(issued)))


async def load_code(read: Read, text: str) -> Code | None:
    """The code, if somebody holds it."""
    stored = await read.scalar(select(_c.body).where(_c.code == text))
    return CODES.decode(stored) if stored else None


async def code_of(read: Read, account: str, user: str) -> str:
    """The code this person holds; empty for none."""
    return str(await read.scalar(select(_c.code).where(_c.account_id == account, _c.user_id == user)) or "")


async def load_by_account(tx: Tx, account: str) -> Referral | None:
    """The referral of this referred account."""
    stored = await tx.scalar(select(_r.body).where(_r.account_id == account))
    return REFERRALS.decode(stored) if stored else None


async def load_by_code(tx: Tx, text: str) -> list[Referral]:
    """The referrals with this code, by id."""
    rows = await tx.all(select(_r.body).where(_r.code == text).order_by(_r.id))
    return [REFERRALS.decode(row.body) for row in rows]


async def save(tx: Tx, changed: Referral, referrer_account: str | None) -> None:
    """Write the referral; `referrer_account` holds its code."""
    row = {
        "id": changed.id,
        "account_id": changed.account,
        "code": changed.signup.code,
        "referrer_id": referrer_account,
        "signed_up_at": changed.signup.at,
    }
    await tx.upsert(referral, [{**row, "status": changed.status, "body": REFERRALS.encode(changed)}])


class ReferralProcessor:
    """Stores codes and referrals one after the other, as they were decided, and evaluates what they touch.

    Its methods return the messages to publish.
    """

    def __init__(self, tx: Tx, rules: Referrals, now: datetime, codes: dict[str, Code | None]) -> None:
        self._tx = tx
        self._rules = rules
        self._now = now
        self._codes = codes

    @classmethod
    async def lock(cls, tx: Tx, decisions: Iterable[Decision], rules: Referrals, now: datetime) -> Self:
        """With everything locked that these decisions touch."""
        touching = [each for each in decisions if isinstance(each, Code | Referral)]
        codes = await load_codes_for_update(tx, {_code_in(each) for each in touching})
        issued = [each for each in touching if isinstance(each, Code)] + [each for each in codes.values() if each]
        await lock_referrers(tx, {each.account for each in issued})
        return cls(tx, rules, now, codes)

    def is_free(self, new: Code) -> bool:
        """Whether nobody else holds the code."""
        holder = self._codes.get(new.code)
        return holder is None or holder.is_held_by_the_same(new)

    async def issue(self, new: Code) -> list[Published]:
        """Somebody holds the code now: evaluate those who signed up with it before. The first holder keeps it."""
        holder = self._codes.get(new.code)
        if holder is not None:
            if not self.is_free(new):
                reason = "somebody else holds this code already"
                await invitations.add_note(self._tx, "code_taken", new, new.code, reason)
            elif holder.reserved and not new.reserved:
                await save_code(self._tx, replace(holder, reserved=False, imported=new.imported))
            return []
        await save_code(self._tx, new)
        self._codes[new.code] = new
        published: list[Published] = []
        for waiting in await load_by_code(self._tx, new.code):
            published += await self._evaluate(waiting)
        return published

    async def observe(self, observed: Referral) -> list[Published]:
        """A fact of a referred account became known."""
        return await self._evaluate(merge_facts(await load_by_account(self._tx, observed.account), observed))

    async def _evaluate(self, row: Referral) -> list[Published]:
        code = self._codes[row.signup.code]
        booked = await count_booked(self._tx, code.account, row.cap_month) if code else 0
        after, decisions = evaluate(row, code, booked, self._rules, self._now)
        await save(self._tx, after, code.account if code else None)
        published: list[Published] = []
        for decision in decisions:
            match decision:
                case Booking():
                    await book_rewards(self._tx, [decision])
                case ReversalRequired():
                    await self._reverse(decision)
                case ReviewRequired():
                    await invitations.add_note(
                        self._tx, "reward_in_review", decision, decision.referral, decision.reason
                    )
                case ReferralConverted() | RewardBooked():
                    published.append(decision)
                case _:
                    assert_never(decision)
        return published

    async def _reverse(self, reversal: ReversalRequired) -> None:
        for booked in await load_rewards_of(self._tx, reversal.referral):
            if REWARD.allows(booked.status, "reversed"):
                await book_rewards(self._tx, [transition_reward(booked, "reversed", self._now)])
            elif booked.status == "paid":
                await invitations.add_note(self._tx, "paid_already", reversal, booked.id, reversal.reason)


def _code_in(decision: Code | Referral) -> str:
    return decision.code if isinstance(decision, Code) else decision.signup.code


async def book_rewards(tx: Tx, bookings: Sequence[Booking]) -> None:
    """Write each reward as it is now, and each move. A move that was made before is an error, never a second one."""
    latest = {booking.reward.id: booking.reward for booking in bookings}
    await tx.upsert(reward, [_reward_row(each) for each in latest.values()])
    await tx.insert(ledger_entry, [line for booking in bookings for line in _ledger_rows(booking.transaction)])


async def count_booked(tx: Tx, referrer: str, month: str) -> int:
    """How many rewards the referrer has in that month. The caller has the referrer's lock."""
    own = (_w.referrer_id == referrer, _w.month == month, _w.side == "referrer")
    return int(await tx.scalar(select(func.count()).select_from(reward).where(*own)))


async def load_rewards_of(tx: Tx, referral_id: str) -> list[Reward]:
    """The rewards of a referral, locked."""
    rows = await tx.all(select(_w.body).where(_w.referral_id == referral_id).order_by(_w.id).with_for_update())
    return [REWARDS.decode(row.body) for row in rows]


async def load_reward_for_update(tx: Tx, reward_id: str) -> Reward | None:
    """One reward, locked."""
    row = await tx.first(select(_w.body).where(_w.id == reward_id).with_for_update())
    return None if row is None else REWARDS.decode(row.body)


async def due_rewards(tx: Tx, now: datetime, limit: int, *, automatic: bool) -> list[Reward]:
    """Rewards for which time alone has something to do, locked; those that another transaction has locked are left out."""
    hold_over = and_(_w.status == "held", _w.payable_at <= now)
    unreviewed = and_(_w.status == "pending", _w.history.is_(False), _w.needs_review.is_(False))
    waiting = select(_w.body).where(or_(hold_over, unreviewed) if automatic else hold_over)
    ordered = waiting.order_by(_w.payable_at, _w.id).limit(limit)
    return [REWARDS.decode(row.body) for row in await tx.all(ordered.with_for_update(skip_locked=True))]


def _reward_row(state: Reward) -> dict[str, Any]:
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


def _ledger_rows(move: Transaction) -> list[dict[str, Any]]:
    line = {"transaction_id": move.id, "reward_id": move.reward, "status": move.status, "at": move.at}
    line["currency"] = move.currency
    return [{**line, "ledger_account": entry.account, "amount": entry.amount} for entry in move.entries]
