"""Rewards and their double-entry ledger, in minor units: every transaction sums to zero."""

from datetime import datetime
from typing import Literal, assert_never, get_args

import msgspec
from msgspec.structs import replace

from services.advocacy.core.definitions import Rewards
from services.advocacy.core.referral import Code, Referral
from shared.contracts.advocacy import RewardBooked, RewardStatus
from shared.ids import derived
from shared.machine import StatusMachine
from shared.values import major_units, written_money

Side = Literal["referrer", "referred"]

REWARD: StatusMachine[RewardStatus] = StatusMachine(
    "reward",
    get_args(RewardStatus),
    {
        "pending": {"held", "reversed"},
        "held": {"payable", "reversed"},
        "payable": {"paid", "reversed"},
        "paid": set(),
        "reversed": set(),
    },
)

EXPENSE = "expense:referral_rewards"


def ledger_account(status: RewardStatus) -> str:
    """The ledger account that carries a reward's credit while it has this status."""
    match status:
        case "pending" | "held" | "payable":
            return f"liability:rewards_{status}"
        case "paid":
            return "assets:payouts"
        case "reversed":
            return EXPENSE
        case _:
            assert_never(status)


class Reward(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """What one side of a referral gets; one for each (referral, side), ever. `month` is what the cap counts by.

    `needs_review`: it stays `pending` until a person approves it.
    """

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
    needs_review: bool = False
    history: bool = False


class Entry(msgspec.Struct, frozen=True):
    """One line of a transaction: a debit is positive, a credit negative."""

    account: str
    amount: int


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """One move of money. The id is derived from the reward and the status it reached."""

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


def book_rewards(
    referral: Referral, code: Code, booked_this_month: int, rules: Rewards, now: datetime, *, needs_review: bool = False
) -> list[Booking | RewardBooked]:
    """The rewards of a converted referral, with their messages. A side worth nothing, or over the cap, has no reward."""
    decisions: list[Booking | RewardBooked] = []
    if rules.referrer and booked_this_month < rules.per_referrer_per_month:
        decisions += _book(replace(_reward(referral, code, "referrer", rules), needs_review=needs_review), now)
    if rules.referred:
        decisions += _book(replace(_reward(referral, code, "referred", rules), needs_review=needs_review), now)
    return decisions


def _reward(referral: Referral, code: Code, side: Side, rules: Rewards) -> Reward:
    at = referral.converted_at or referral.signup.at
    to_referrer = side == "referrer"
    return Reward(
        id=reward_id(referral.id, side),
        referral=referral.id,
        side=side,
        account=code.account if to_referrer else referral.account,
        user=code.user if to_referrer else "",
        referrer=code.account,
        amount=rules.referrer if to_referrer else rules.referred,
        currency=rules.currency,
        booked_at=at,
        payable_at=payable_at(at, rules),
        month=f"{at:%Y-%m}",
        history=referral.history,
    )


def reward_id(referral_id: str, side: Side) -> str:
    return derived("reward", referral_id, side)


def _book(reward: Reward, now: datetime) -> list[Booking | RewardBooked]:
    booking = Booking(reward, _transaction(reward, EXPENSE, "pending", reward.booked_at))
    message = RewardBooked(
        id=derived("reward_booked", reward.id),
        account=reward.account,
        at=reward.booked_at,
        decided_at=now,
        history=reward.history,
        reward=reward.id,
        referral=reward.referral,
        amount=reward.amount,
        currency=reward.currency,
    )
    return [booking, message]


def transition_reward(reward: Reward, to: RewardStatus, at: datetime) -> Booking:
    """The one way a reward's status changes. Raises IllegalTransition where the table does not allow it."""
    transaction = _transaction(reward, ledger_account(reward.status), to, at)
    return Booking(replace(reward, status=REWARD.transition(reward.status, to)), transaction)


def due_transitions(reward: Reward, now: datetime, rules: Rewards) -> list[Booking]:
    """The moves that time alone brings. A reward of an imported past, or one to review, is `pending` until approved."""
    unreviewed = rules.review == "manual" or reward.needs_review or reward.history
    if reward.status == "pending" and not unreviewed:
        held = transition_reward(reward, "held", now)
        return [held, *due_transitions(held.reward, now, rules)]
    if reward.status == "held" and now >= reward.payable_at:
        return [transition_reward(reward, "payable", now)]
    return []


def payable_at(converted_at: datetime, rules: Rewards) -> datetime:
    """When the hold ends."""
    return converted_at + rules.hold


def format_money(amount: int, currency: str) -> str:
    """Minor units as people read them, in mails, on pages and in the console alike; empty for nothing."""
    return written_money(major_units(amount, currency), currency) if amount else ""


def _transaction(reward: Reward, debit: str, to: RewardStatus, at: datetime) -> Transaction:
    return Transaction(
        id=derived("ledger", reward.id, to),
        reward=reward.id,
        status=to,
        at=at,
        currency=reward.currency,
        entries=(Entry(debit, reward.amount), Entry(ledger_account(to), -reward.amount)),
    )
