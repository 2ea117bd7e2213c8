"""Where does a reward stand? A double-entry ledger in minor units: every transaction sums to zero, or is none."""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec.structs import replace

from services.advocacy.core.definitions import Rewards
from services.advocacy.core.refusal import Refused
from shared.ids import derived

Side = Literal["referrer", "referred"]
RewardStatus = Literal["pending", "held", "payable", "paid", "reversed"]

NEXT: dict[RewardStatus, tuple[RewardStatus, ...]] = {
    "pending": ("held", "reversed"),
    "held": ("payable", "reversed"),
    "payable": ("paid", "reversed"),
    "paid": (),
    "reversed": (),
}

EXPENSE = "expense:referral_rewards"

STANDS_IN: dict[RewardStatus, str] = {
    "pending": "liability:rewards_pending",
    "held": "liability:rewards_held",
    "payable": "liability:rewards_payable",
    "paid": "assets:payouts",
    "reversed": EXPENSE,
}
"""The account that carries a reward's credit while it has this status."""


class Reward(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one side of a referral gets; one for each (referral, side), ever. `month` is what the cap counts by."""

    id: str
    referral: str
    side: Side
    account: str
    user: str
    referrer: str
    amount: int
    currency: str
    booked_at: datetime
    payable_at: datetime
    month: str
    status: RewardStatus = "pending"
    history: bool = False


class Entry(msgspec.Struct, frozen=True):
    """One line: a debit is positive, a credit negative."""

    account: str
    amount: int


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """One move of money that happened as a whole. The id is derived from the reward and the status it reached."""

    id: str
    reward: str
    status: RewardStatus
    at: datetime
    currency: str
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        if sum(entry.amount for entry in self.entries) != 0:
            raise ValueError(f"transaction {self.id} does not sum to zero")


class Booking(msgspec.Struct, frozen=True):
    """A reward as it is now, and the transaction that brought it there: they are written together."""

    reward: Reward
    transaction: Transaction


def reward_id(referral: str, side: Side) -> str:
    return derived("reward", referral, side)


def booked(reward: Reward) -> Booking:
    """A new reward enters the books."""
    return Booking(reward, _transaction(reward, EXPENSE, "pending", reward.booked_at))


def moved(reward: Reward, to: RewardStatus, at: datetime) -> Booking:
    """The one way a reward's status changes. Raises Refused where the table does not allow it."""
    if to not in NEXT[reward.status]:
        raise Refused("forbidden", f"a reward that is {reward.status} cannot become {to}")
    return Booking(replace(reward, status=to), _transaction(reward, STANDS_IN[reward.status], to, at))


def matured(reward: Reward, now: datetime, rules: Rewards) -> list[Booking]:
    """The moves that time alone allows. A reward of an imported past waits for a person, in `pending`, for ever."""
    if reward.status == "pending" and rules.review == "automatic" and not reward.history:
        return _then_matured(moved(reward, "held", now), now, rules)
    if reward.status == "held" and now >= reward.payable_at:
        return [moved(reward, "payable", now)]
    return []


def _then_matured(booking: Booking, now: datetime, rules: Rewards) -> list[Booking]:
    return [booking, *matured(booking.reward, now, rules)]


def payable_at(converted: datetime, rules: Rewards) -> datetime:
    return converted + rules.hold


def _transaction(reward: Reward, debit: str, to: RewardStatus, at: datetime) -> Transaction:
    return Transaction(
        id=derived("ledger", reward.id, to),
        reward=reward.id,
        status=to,
        at=at,
        currency=reward.currency,
        entries=(Entry(debit, reward.amount), Entry(STANDS_IN[to], -reward.amount)),
    )
