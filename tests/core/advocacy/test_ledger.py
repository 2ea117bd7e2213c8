"""The ledger sums to zero whatever is done in whatever order."""

from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from services.advocacy.core.attribution import evaluate
from services.advocacy.core.ledger import (
    EXPENSE,
    REWARD,
    Booking,
    Entry,
    Reward,
    Transaction,
    due_transitions,
    ledger_account,
    transition_reward,
)
from services.advocacy.core.referral import Code, Payment, Referral, Signup
from shared.contracts.advocacy import RewardStatus
from shared.machine import IllegalTransition
from tests.core.advocacy.make import SHIPPED, day

RULES = SHIPPED.referrals
STATUSES = sorted(get_args(RewardStatus))
CODE = Code(code="ABC2DEF", account="acme", user="ann", issued_at=day(0))


def converted(account: str, *, history: bool = False) -> Referral:
    signup = Signup(code="ABC2DEF", at=day(10), first_seen_at=day(10), event="e")
    payment = Payment(at=day(20), event="p", history=history)
    return Referral(id=f"r-{account}", account=account, signup=signup, payment=payment)


def rewards(account: str = "newco", *, history: bool = False) -> list[Reward]:
    _, decisions = evaluate(converted(account, history=history), CODE, 0, RULES, day(20))
    return [one.reward for one in decisions if isinstance(one, Booking)]


def test_a_transaction_that_does_not_sum_to_zero_is_none():
    with pytest.raises(ValueError, match="does not sum to zero"):
        Transaction(id="t", reward="r", status="held", at=day(0), currency="EUR", entries=(Entry("a", 1),))


def test_a_reward_is_held_for_thirty_days_and_then_payable():
    (reward, _) = rewards()
    (held,) = due_transitions(reward, day(21), RULES.rewards)
    assert (held.reward.status, due_transitions(held.reward, day(49), RULES.rewards)) == ("held", [])
    assert [one.reward.status for one in due_transitions(held.reward, day(50), RULES.rewards)] == ["payable"]
    assert [one.reward.status for one in due_transitions(reward, day(50), RULES.rewards)] == ["held", "payable"]


def test_a_reward_of_an_imported_past_or_under_review_waits_for_a_person():
    (past, _), (now, _) = rewards(history=True), rewards()
    assert due_transitions(past, day(500), RULES.rewards) == []
    assert due_transitions(now, day(500), replace(RULES.rewards, review="manual")) == []
    assert transition_reward(past, "held", day(500)).reward.status == "held"


@given(status=st.sampled_from(STATUSES), to=st.sampled_from(STATUSES))
def test_the_table_alone_says_what_may_follow(status: RewardStatus, to: RewardStatus):
    reward = replace(rewards()[0], status=status)
    if REWARD.allows(status, to):
        assert transition_reward(reward, to, day(1)).reward.status == to
    else:
        with pytest.raises(IllegalTransition, match=f"{status} cannot become {to}"):
            transition_reward(reward, to, day(1))


class Books(RuleBasedStateMachine):
    """The shell in miniature: rows by primary key, anything in any order, and every event as often as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.referrals: dict[str, Referral] = {}
        self.rewards: dict[str, Reward] = {}
        self.transactions: dict[str, Transaction] = {}

    def write(self, booking: Booking) -> None:
        assert booking.transaction.id not in self.transactions
        self.rewards[booking.reward.id] = booking.reward
        self.transactions[booking.transaction.id] = booking.transaction

    @rule(account=st.sampled_from([f"new{number}" for number in range(14)]))
    def settles(self, account: str) -> None:
        known = self.referrals.get(account, converted(account))
        month = known.cap_month
        mine = [one for one in self.rewards.values() if one.side == "referrer" and one.month == month]
        self.referrals[account], decisions = evaluate(known, CODE, len(mine), RULES, day(20))
        for one in decisions:
            if isinstance(one, Booking):
                assert one.reward.id not in self.rewards
                self.write(one)

    @rule(data=st.data(), to=st.sampled_from(STATUSES))
    def moves(self, data: st.DataObject, to: RewardStatus) -> None:
        if self.rewards:
            reward = self.rewards[data.draw(st.sampled_from(sorted(self.rewards)))]
            if REWARD.allows(reward.status, to):
                self.write(transition_reward(reward, to, day(30)))

    @rule(number=st.integers(20, 80))
    def time_passes(self, number: int) -> None:
        for reward in list(self.rewards.values()):
            for booking in due_transitions(reward, day(number), RULES.rewards):
                self.write(booking)

    @invariant()
    def it_sums_to_zero(self) -> None:
        assert sum(entry.amount for one in self.transactions.values() for entry in one.entries) == 0

    @invariant()
    def every_reward_stands_where_its_status_says(self) -> None:
        balance: Counter[str] = Counter()
        for one in self.transactions.values():
            for entry in one.entries:
                balance[entry.account] += entry.amount
        for reward in self.rewards.values():
            balance[ledger_account(reward.status)] += reward.amount
            balance[EXPENSE] -= reward.amount
        assert not any(balance.values())

    @invariant()
    def one_reward_for_each_referral_and_side_within_the_cap(self) -> None:
        sides = Counter((one.referral, one.side) for one in self.rewards.values())
        assert all(number == 1 for number in sides.values())
        referrers = [one for one in self.rewards.values() if one.side == "referrer"]
        assert len(referrers) <= RULES.rewards.per_referrer_per_month


TestBooks = Books.TestCase
