"""Who gets what for a referral that converted? One pending reward a side, the referrer's within the month's cap."""

from datetime import datetime

from services.advocacy.core.decisions import Decision
from services.advocacy.core.definitions import Rewards
from services.advocacy.core.ledger import Reward, Side, booked, payable_at, reward_id
from services.advocacy.core.referral import Code, Referral
from shared.contracts.advocacy import RewardBooked
from shared.ids import derived


def rewarded(referral: Referral, code: Code, booked_this_month: int, rules: Rewards, now: datetime) -> list[Decision]:
    """The rewards' bookings and their messages. A side worth nothing, or over the cap, has no reward."""
    decisions: list[Decision] = []
    if rules.referrer and booked_this_month < rules.per_referrer_per_month:
        decisions += _booked(_reward(referral, code, "referrer", rules), now)
    if rules.referred:
        decisions += _booked(_reward(referral, code, "referred", rules), now)
    return decisions


def _booked(reward: Reward, now: datetime) -> list[Decision]:
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
    return [booked(reward), message]


def _reward(referral: Referral, code: Code, side: Side, rules: Rewards) -> Reward:
    at = referral.converted_at or referral.signup.at
    gives = side == "referrer"
    return Reward(
        id=reward_id(referral.id, side),
        referral=referral.id,
        side=side,
        account=code.account if gives else referral.account,
        user=code.user if gives else "",
        referrer=code.account,
        amount=rules.referrer if gives else rules.referred,
        currency=rules.currency,
        booked_at=at,
        payable_at=payable_at(at, rules),
        month=f"{at:%Y-%m}",
        history=referral.history,
    )
