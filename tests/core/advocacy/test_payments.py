"""Payments and refunds: known by invoice, in the currency's minor units, in whatever order they become known."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.advocacy.core.account import Account
from services.advocacy.core.attribution import evaluate, merge_facts
from services.advocacy.core.decisions import FactRejected, ReversalRequired, ReviewRequired
from services.advocacy.core.definitions import Referrals
from services.advocacy.core.ledger import (
    REWARD,
    Booking,
    Reward,
    due_transitions,
    format_money,
    ledger_account,
    transition_reward,
)
from services.advocacy.core.reducer import apply
from services.advocacy.core.referral import MAX_REFUNDS, Code, Payment, Referral, common_parent, is_same_domain
from tests.core.advocacy.make import SHIPPED, Story, apply_story, day, of_type

RULES = SHIPPED.referrals
IN_YEN = replace(RULES, rewards=replace(RULES.rewards, currency="JPY"))
CODE = Code(
    code="ABC2DEF",
    account="acme",
    user="ann",
    issued_at=day(0),
    email="ann@acme.example",
    domains=("acme.example",),
    users=("ann", "bob"),
    emails=("ann@acme.example", "bobprivate@gmail.com"),
)


class Books:
    """What the shell stores of one referred account: its row, the rewards, and the sums of the ledger's accounts."""

    def __init__(self, rules: Referrals = RULES) -> None:
        self.rules = rules
        self.account = Account(id="newco")
        self.row: Referral | None = None
        self.rewards: dict[str, Reward] = {}
        self.balances: dict[str, int] = {}
        self.decisions: list[Any] = []

    def take(self, message: Any, code: Code | None = CODE) -> None:
        self.account, decided = apply(self.account, message, SHIPPED._replace(referrals=self.rules))
        self.decisions += decided
        for observed in of_type(decided, Referral):
            self.judge(observed, code)

    def judge(self, observed: Referral | None, code: Code | None) -> None:
        observed = observed or self.row
        if observed is None:
            return
        self.row, decided = evaluate(merge_facts(self.row, observed), code, 0, self.rules, day(99))
        self.decisions += decided
        for decision in decided:
            if isinstance(decision, Booking):
                self._book(decision)
            if isinstance(decision, ReversalRequired):
                for reward in list(self.rewards.values()):
                    if REWARD.allows(reward.status, "reversed"):
                        self._book(transition_reward(reward, "reversed", day(99)))

    def _book(self, booking: Booking) -> None:
        self.rewards[booking.reward.id] = booking.reward
        for entry in booking.transaction.entries:
            self.balances[entry.account] = self.balances.get(entry.account, 0) + entry.amount
        assert sum(self.balances.values()) == 0

    @property
    def ending(self) -> tuple[str, list[tuple[str, int]], dict[str, int]]:
        """The status, what stands to be paid to whom, and what the ledger says."""
        assert self.row
        standing = sorted((one.side, one.amount) for one in self.rewards.values() if one.status != "reversed")
        return self.row.status, standing, {name: sum_ for name, sum_ in self.balances.items() if sum_}


def signed_up(email: str = "kim@newco.example", **more: object) -> Story:
    story = Story("newco").stage(0, "onboarding")
    return story.fact(1, "referred_signup", "kim", referral_code="abc2def", email=email, **more)


def told(story: Story, rules: Referrals = RULES, code: Code | None = CODE) -> Books:
    books = Books(rules)
    for message in story.messages:
        books.take(message, code)
    return books


def status(story: Story, rules: Referrals = RULES) -> str:
    return told(story, rules).ending[0]


def test_a_refund_of_another_invoice_takes_nothing_back():
    paid_twice = signed_up().fact(2, "invoice_paid", amount=49, invoice_id="i-1")
    paid_twice.fact(3, "invoice_paid", amount=500, invoice_id="i-2")
    assert status(paid_twice.fact(4, "invoice_refunded", amount=500, invoice_id="i-2")) == "converted"
    assert status(paid_twice.fact(5, "invoice_refunded", amount=49, invoice_id="i-1")) == "reversed"


@pytest.mark.parametrize(
    ("refunds", "ending"),
    [
        ([5], "converted"),
        ([0.01], "converted"),
        ([499.99], "converted"),
        ([500], "reversed"),
        ([200, 200], "converted"),
        ([200, 200, 100], "reversed"),
        (["1,000.00"], "reversed"),
        ([-1000], "reversed"),
        ([0], "converted"),
        ([None], "reversed"),
    ],
)
def test_part_refunds_add_up_and_half_the_payment_is_decisive(refunds: list[Any], ending: str):
    story = signed_up().fact(2, "invoice_paid", amount=1000, invoice_id="i-1")
    for number, amount in enumerate(refunds):
        story.fact(3 + number, "invoice_refunded", amount=amount, invoice_id="i-1")
    assert status(story) == ending


def test_the_decisive_share_is_a_rule():
    story = signed_up().fact(2, "invoice_paid", amount=1000, invoice_id="i-1")
    story.fact(3, "invoice_refunded", amount=999, invoice_id="i-1")
    assert status(story, replace(RULES, refund=replace(RULES.refund, reverse_from=1.0))) == "converted"
    assert status(story.fact(4, "invoice_refunded", amount=1, invoice_id="i-1")) == "reversed"


def test_a_refund_that_is_told_twice_counts_once():
    story = signed_up().fact(2, "invoice_paid", amount=1000, invoice_id="i-1")
    for number in (3, 4):
        story.fact(number, "invoice_refunded", amount=300, invoice_id="i-1", refund_id="re-1")
    assert status(story) == "converted"


def test_a_refund_is_remembered_until_its_payment_comes():
    overtaken = signed_up().fact(3, "invoice_refunded", amount=49, invoice_id="i-1")
    books = told(overtaken.fact(2, "invoice_paid", amount=49, invoice_id="i-1"))
    assert books.ending == ("reversed", [], {})


def test_a_refund_that_names_no_invoice_is_the_payments():
    assert status(signed_up().fact(2, "invoice_paid", amount=49, invoice_id="i").fact(3, "invoice_refunded")) == (
        "reversed"
    )
    unnamed = signed_up().fact(2, "invoice_paid", amount=49)
    assert status(unnamed.fact(3, "invoice_refunded", amount=49, invoice_id="i-1")) == "reversed"


def test_a_refund_after_the_hold_takes_nothing_back():
    story = signed_up().fact(2, "invoice_paid", amount=49, invoice_id="i")
    assert status(story.fact(33, "invoice_refunded", invoice_id="i")) == "converted"


def test_the_same_invoice_paid_twice_is_one_payment():
    story = signed_up().fact(2, "invoice_paid", amount=49, invoice_id="i-1")
    books = told(story.fact(3, "invoice_paid", amount=49, invoice_id="i-1"))
    assert [one.side for one in books.rewards.values()] == ["referrer", "referred"]


def first_payment_comes_last(messages: list[Any]) -> bool:
    """Whether the first invoice is told only when the second one was paid and given back: what was reversed stays so."""
    told = [(message.fact, message.properties.get("invoice_id")) for message in messages]
    first, second = ("invoice_paid", "i-1"), {("invoice_paid", "i-2"), ("invoice_refunded", "i-2")}
    return first in told and second <= {*told[: told.index(first)]}


EVENTS = ("signup", "paid", "paid again", "paid another", "refunded another", "refunded a part", "refunded the rest")


@given(order=st.permutations(range(len(EVENTS))), left_out=st.sets(st.sampled_from(EVENTS)), codes=st.booleans())
def test_the_order_of_arrival_changes_nothing(order: list[int], left_out: set[str], codes: bool):
    story = Story("newco").stage(0, "onboarding")
    first, *_ = story.messages
    story.fact(1, "referred_signup", "kim", referral_code="ABC2DEF", email="kim@newco.example")
    story.fact(2, "invoice_paid", amount=100, invoice_id="i-1")
    story.fact(2.5, "invoice_paid", amount=100, invoice_id="i-1")
    story.fact(3, "invoice_paid", amount=500, invoice_id="i-2")
    story.fact(4, "invoice_refunded", amount=500, invoice_id="i-2")
    story.fact(5, "invoice_refunded", amount=40, invoice_id="i-1")
    story.fact(6, "invoice_refunded", amount=60, invoice_id="i-1")
    facts = [one for one, name in zip(story.messages[1:], EVENTS, strict=True) if name not in left_out | {"signup"}]
    facts.append(story.messages[1])

    def ending(messages: list[Any], code_at: int) -> tuple[str, list[tuple[str, int]], dict[str, int]]:
        books, code = Books(), None
        for number, message in enumerate([first, *messages]):
            if number >= code_at and code is None:
                code = CODE
                books.judge(None, code)
            books.take(replace(message, seq=number + 1), code)
        books.judge(None, CODE)
        return books.ending

    by_time = sorted(facts, key=lambda message: message.at)
    shuffled = [facts[number] for number in order if number < len(facts)]
    assume(not first_payment_comes_last(shuffled))
    assert ending(shuffled, len(facts) if codes else 0) == ending(by_time, 0)


@pytest.mark.parametrize("count", [MAX_REFUNDS, MAX_REFUNDS * 2])
def test_refunds_of_other_invoices_crowd_nothing_out(count: int):
    story = signed_up().fact(2, "invoice_paid", amount=100, invoice_id="i-1")
    story.fact(2.5, "invoice_refunded", amount=40, invoice_id="i-1")
    for number in range(count):
        story.fact(3 + number / 100, "invoice_refunded", amount=1, invoice_id=f"other-{number}")
    books = told(story.fact(20, "invoice_refunded", amount=40, invoice_id="i-1"))
    assert (books.ending[0], len(books.account.refunds)) == ("reversed", MAX_REFUNDS)


@pytest.mark.parametrize(
    ("paid", "ending"),
    [
        ({"amount": 1, "currency": "JPY"}, "attributed"),
        ({"amount": 9, "currency": "jpy"}, "attributed"),
        ({"amount": 10, "currency": "JPY"}, "converted"),
        ({"amount": "49.00", "currency": "JPY"}, "converted"),
        ({"amount": 0.99}, "attributed"),
        ({"amount": 1}, "converted"),
        ({"amount": "1,299.00", "currency": "USD"}, "converted"),
        ({"amount": "0.999", "currency": "BHD"}, "attributed"),
        ({"amount": "1.000", "currency": "BHD"}, "converted"),
    ],
)
def test_a_token_payment_converts_nothing(paid: dict[str, Any], ending: str):
    assert status(signed_up().fact(2, "invoice_paid", **paid)) == ending


def test_a_later_payment_may_reach_the_minimum():
    story = signed_up().fact(2, "invoice_paid", amount=0.5, invoice_id="i-1")
    assert status(story.fact(3, "invoice_paid", amount=49, invoice_id="i-2")) == "converted"


@pytest.mark.parametrize(
    ("paid", "reason"),
    [
        ({"amount": "twelve"}, "the amount is no number"),
        ({"amount": "1,299"}, "the amount is no number"),
        ({"amount": "49.50", "currency": "JPY"}, "49.50 is no amount of JPY"),
        ({"amount": 49, "currency": "Euro"}, "the currency Euro has no three letters of ISO 4217"),
        ({"total": 49}, "no amount"),
    ],
)
def test_a_payment_that_cannot_be_read_is_listed(paid: dict[str, Any], reason: str):
    books = told(signed_up().fact(2, "invoice_paid", **paid))
    assert [one.reason for one in of_type(books.decisions, FactRejected)] == [reason]
    assert books.ending[0] == "attributed"


def test_the_minimum_is_a_table_by_currency_and_another_currency_waits_for_a_person():
    rules = replace(RULES, minimum={"EUR": 2000})
    assert status(signed_up().fact(2, "invoice_paid", amount=19.99), rules) == "attributed"
    assert status(signed_up().fact(2, "invoice_paid", amount=20), rules) == "converted"
    books = told(signed_up().fact(2, "invoice_paid", amount=1, currency="JPY"), rules)
    (review,) = of_type(books.decisions, ReviewRequired)
    assert review.reason == "to review: no minimum is set for payments in JPY"
    for reward in books.rewards.values():
        assert due_transitions(reward, day(500), rules.rewards) == []
        assert transition_reward(reward, "held", day(500)).reward.status == "held"


def test_a_refund_in_another_currency_is_listed_whichever_comes_first():
    paid = {"amount": 49, "currency": "USD", "invoice_id": "i"}
    given_back = {"amount": 49, "currency": "EUR", "invoice_id": "i"}
    for story in (
        signed_up().fact(2, "invoice_paid", **paid).fact(3, "invoice_refunded", **given_back),
        signed_up().fact(3, "invoice_refunded", **given_back).fact(2, "invoice_paid", **paid),
    ):
        books = told(story)
        (listed,) = of_type(books.decisions, FactRejected)
        assert listed.reason.startswith("given back in EUR, paid in USD")
        assert books.ending[0] == "converted"


@pytest.mark.parametrize(
    ("email", "paid", "reason"),
    [
        ("ann@eu.acme.example", {}, "the same company signed up (eu.acme.example)"),
        ("Ann <ann@ACME.example.>", {}, "the advocate's own e-mail address signed up"),
        ("x@gmail.com", {"billing_email": "ann@acme.example"}, "the advocate's own e-mail address signed up"),
        ("x@gmail.com", {"payer_email": "books@acme.example"}, "the same company signed up (acme.example)"),
        ("x@gmail.com", {"user": "ann"}, "the advocate signed up a second workspace"),
    ],
)
def test_the_advocates_own_earn_nothing(email: str, paid: dict[str, Any], reason: str):
    books = told(signed_up(email).fact(2, "invoice_paid", **{"amount": 49} | paid))
    assert books.row
    assert (books.ending[0], books.row.reason, books.rewards) == ("refused", reason, {})


def test_the_payer_is_known_when_the_sign_up_comes_after_the_payment():
    story = Story("newco").stage(0, "onboarding").fact(2, "invoice_paid", amount=49, billing_email="ann@acme.example")
    story.fact(1, "referred_signup", "kim", referral_code="abc2def", email="kim@gmail.com")
    assert status(story) == "refused"


@pytest.mark.parametrize(
    ("email", "user", "code"),
    [
        ("kim@newco.example", "bob", CODE),
        ("bob.private+x@gmail.com", "kim", CODE),
        ("kim@us.acme.example", "kim", replace(CODE, domains=("eu.acme.example",))),
    ],
)
def test_what_may_be_a_second_workspace_waits_for_a_person(email: str, user: str, code: Code):
    story = Story("newco").stage(0, "onboarding")
    story.fact(1, "referred_signup", user, referral_code="abc2def", email=email)
    books = told(story.fact(2, "invoice_paid", amount=49), code=code)
    assert [one.needs_review for one in books.rewards.values()] == [True, True]
    assert len(of_type(books.decisions, ReviewRequired)) == 1


@pytest.mark.parametrize(
    ("one", "other", "parent"),
    [
        ("eu.acme.com", "us.acme.com", "acme.com"),
        ("acme.co.uk", "newco.co.uk", ""),
        ("acme.com", "newco.com", ""),
        ("a.acme.co.uk", "b.acme.co.uk", "acme.co.uk"),
        ("a.mail.com", "b.mail.com", ""),
    ],
)
def test_offices_of_a_company_have_one_parent_and_customers_of_a_registry_none(one: str, other: str, parent: str):
    assert common_parent(one, other, ["mail.com"]) == parent
    assert not is_same_domain(one, other)


def test_a_domain_that_ends_alike_is_another_one():
    assert not is_same_domain("notacme.com", "acme.com")
    assert is_same_domain("eu.acme.com", "acme.com")
    assert is_same_domain("acme.com", "eu.acme.com")


def test_a_payment_that_an_earlier_version_stored_is_taken_back_by_any_refund():
    account = Account(id="newco", payment=Payment(at=day(2), event="p"))
    story = signed_up().fact(3, "invoice_refunded", amount=5, invoice_id="i-9")
    (*_, row) = of_type(apply_story(story, account=account)[1], Referral)
    assert evaluate(row, CODE, 0, RULES, day(99))[0].status == "reversed"
    stored = replace(row, payment=Payment(at=day(2), event="p", refunded_at=day(3)), refunds=())
    assert evaluate(stored, CODE, 0, RULES, day(99))[0].status == "reversed"


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (5000, "EUR", "€50.00"),
        (5000, "JPY", "¥5,000"),
        (5, "EUR", "€0.05"),
        (1500, "BHD", "BHD 1.500"),
        (0, "EUR", ""),
    ],
)
def test_money_has_as_many_decimals_as_its_currency(amount: int, currency: str, text: str):
    assert format_money(amount, currency) == text


def test_every_status_of_a_reward_has_its_place_in_the_ledger_in_yen_too():
    books = told(signed_up().fact(2, "invoice_paid", amount=49), IN_YEN)
    assert {(one.amount, one.currency) for one in books.rewards.values()} == {(5000, "JPY"), (2500, "JPY")}
    assert books.balances[ledger_account("pending")] == -7500
