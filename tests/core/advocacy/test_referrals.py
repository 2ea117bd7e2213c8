"""Attribution: which referrals count, whatever is known first."""

from itertools import permutations

import pytest
from msgspec.structs import replace

from services.advocacy.core.attribution import evaluate, merge_facts
from services.advocacy.core.decisions import FactRejected, ReversalRequired
from services.advocacy.core.definitions import Referrals
from services.advocacy.core.ledger import Booking
from services.advocacy.core.referral import Code, Referral, company_domains, normalise_email, record_click
from shared.contracts.advocacy import AdvocateOptedIn, ReferralConverted, RewardBooked
from tests.core.advocacy.make import SHIPPED, Story, apply_story, day, of_type

RULES = SHIPPED.referrals
CODE = Code(
    code="ABC2DEF", account="acme", user="ann", issued_at=day(0), email="ann@acme.example", domains=("acme.example",)
)


def referred(email: str = "kim@newco.example", at: float = 30, **more: object) -> Story:
    story = Story("newco").stage(at - 1, "onboarding")
    return story.fact(at, "referred_signup", "kim", referral_code="abc2def", email=email, **more)


def judged(story: Story, code: Code | None = CODE, rules: Referrals = RULES, cap: int = 0) -> tuple[Referral, list]:
    """Settle after every fact, as the shell does."""
    row, decisions = None, []
    for seen in of_type(apply_story(story)[1], Referral):
        row, more = evaluate(merge_facts(row, seen), code, cap, rules, day(99))
        decisions += more
    assert row
    return row, decisions


def test_a_signup_with_a_code_is_attributed():
    row, decisions = judged(referred())
    assert (row.status, row.signup.code, decisions) == ("attributed", "ABC2DEF", [])


def test_the_first_paid_invoice_converts_it_and_books_both_rewards():
    row, decisions = judged(referred().fact(60, "invoice_paid", amount=120.0).fact(90, "invoice_paid", amount=120.0))
    (told_referrer,) = of_type(decisions, ReferralConverted)
    rewards = [booking.reward for booking in of_type(decisions, Booking)]
    assert (told_referrer.account, told_referrer.referred_account, told_referrer.at) == ("acme", "newco", day(60))
    assert [(one.side, one.account, one.amount, one.status) for one in rewards] == [
        ("referrer", "acme", 5000, "pending"),
        ("referred", "newco", 2500, "pending"),
    ]
    assert [message.reward for message in of_type(decisions, RewardBooked)] == [one.id for one in rewards]
    assert (row.status, row.converted_at, row.cap_month) == ("converted", day(60), "2026-03")


@pytest.mark.parametrize("amount", ["12", "49.00", "1.234,50"])
def test_an_amount_written_as_text_is_a_payment(amount: str):
    row, _ = judged(referred().fact(60, "invoice_paid", amount=amount))
    assert row.status == "converted"


def test_what_a_browser_tells_books_nothing_answers_nothing_and_issues_no_code():
    story = (
        referred().fact(40, "referral_code_issued", "kim", referral_code="MINE22").fact(60, "invoice_paid", amount=120)
    )
    account, decisions = apply_story(story.fact(61, "nps_answered", "kim", score=9).by_browser())
    assert {one.reason for one in of_type(decisions, FactRejected)} == {"a browser told it, whose key is public"}
    assert len(of_type(decisions, FactRejected)) == len(decisions) == 4
    assert (account.signup, account.payment, account.codes, account.scores) == (None, None, {}, {})


def test_an_amount_that_cannot_be_read_is_noted():
    _, decisions = apply_story(referred().fact(60, "invoice_paid", amount="twelve"))
    assert [one.reason for one in of_type(decisions, FactRejected)] == ["the amount is no number"]


@pytest.mark.parametrize("amount", [0.0, -5.0, None, "twelve", "-5", True])
def test_what_is_no_payment_converts_nothing(amount: object):
    row, _ = judged(referred().fact(60, "invoice_paid", amount=amount))
    assert row.status == "attributed"


def test_a_code_nobody_holds_waits():
    row, decisions = judged(referred().fact(60, "invoice_paid", amount=120.0), None)
    assert (row.status, decisions) == ("waiting", [])


@pytest.mark.parametrize(
    ("email", "code", "reason"),
    [
        ("kim@newco.example", replace(CODE, account="newco"), "the account referred itself"),
        ("bob@ACME.example", CODE, "the same company signed up (acme.example)"),
        ("A.n.n+x@googlemail.com", replace(CODE, email="ann@gmail.com"), "the advocate's own e-mail"),
        ("kim@newco.example", replace(CODE, issued_at=day(31)), "before the code was given out"),
    ],
)
def test_a_self_referral_or_an_impossible_one_is_refused(email: str, code: Code, reason: str):
    row, decisions = judged(referred(email).fact(60, "invoice_paid", amount=9.0), code)
    assert row.status == "refused"
    assert reason in row.reason
    assert not decisions


def test_two_people_at_a_free_mail_provider_are_two_people():
    advocate = replace(CODE, email="ann@gmail.com", domains=company_domains(["ann@gmail.com"], RULES.free_mail))
    assert judged(referred("kim@gmail.com"), advocate)[0].status == "attributed"


def test_a_colleague_who_shows_up_before_the_payment_gives_it_away():
    story = referred().contact(40, "bob", "bob@acme.example").fact(60, "invoice_paid", amount=9.0)
    assert judged(story)[0].status == "refused"


def test_an_account_we_knew_for_long_was_not_referred():
    story = Story("newco").stage(0, "onboarding").fact(30, "referred_signup", referral_code="ABC2DEF")
    assert judged(story)[0].reason == "the account was already known when it signed up with the code"


def test_the_window_counts_from_the_last_click_before_the_signup():
    assert judged(referred(at=80), record_click(CODE, day(10)))[0].status == "refused"
    assert judged(referred(at=80), record_click(CODE, day(50)))[0].status == "attributed"
    from_issue = replace(RULES, attribution=replace(RULES.attribution, counts_from="issue"))
    assert judged(referred(at=80), record_click(CODE, day(50)), from_issue)[0].status == "refused"


@pytest.mark.parametrize("clicked", [None, 81, 900])
def test_a_code_that_nobody_clicked_before_is_good_however_old_it_is(clicked: int | None):
    code = CODE if clicked is None else record_click(CODE, day(clicked))
    assert judged(referred(at=80), code)[0].status == "attributed"


def test_a_click_after_the_attribution_takes_nothing_away():
    row, _ = judged(referred(at=80), record_click(CODE, day(50)))
    paid = of_type(apply_story(referred(at=80).fact(90, "invoice_paid", amount=9.0))[1], Referral)[-1]
    assert evaluate(merge_facts(row, paid), record_click(CODE, day(85)), 0, RULES, day(99))[0].status == "converted"


def test_over_the_cap_the_referrer_gets_nothing_and_the_new_customer_their_part():
    story = referred().fact(60, "invoice_paid", amount=9.0)
    _, decisions = judged(story, cap=RULES.rewards.per_referrer_per_month)
    assert [booking.reward.side for booking in of_type(decisions, Booking)] == ["referred"]
    assert of_type(decisions, ReferralConverted)


def test_a_side_worth_nothing_has_no_reward():
    one_sided = replace(RULES, rewards=replace(RULES.rewards, referred=0))
    _, decisions = judged(referred().fact(60, "invoice_paid", amount=9.0), rules=one_sided)
    assert [booking.reward.side for booking in of_type(decisions, Booking)] == ["referrer"]


def test_a_refund_within_the_hold_takes_it_back_and_a_later_one_does_not():
    story = referred().fact(60, "invoice_paid", amount=9.0)
    soon, decisions = judged(story.fact(70, "invoice_refunded"))
    assert (soon.status, len(of_type(decisions, ReversalRequired))) == ("reversed", 1)
    late, decisions = judged(referred().fact(60, "invoice_paid", amount=9.0).fact(95, "invoice_refunded"))
    assert (late.status, of_type(decisions, ReversalRequired)) == ("converted", [])


def test_settling_again_changes_nothing():
    row, _ = judged(referred().fact(60, "invoice_paid", amount=9.0))
    assert evaluate(row, CODE, 0, RULES, day(100)) == (row, [])


def test_a_signup_without_a_code_is_named_with_its_event():
    _, decisions = apply_story(Story("newco").stage(0, "onboarding").fact(1, "referred_signup", email="a@b.example"))
    assert [one.reason for one in of_type(decisions, FactRejected)] == ["no referral_code"]


def test_an_account_is_referred_once():
    again = referred().fact(31, "referred_signup", "kim", referral_code="ZZZZZZZ")
    assert [row.signup.code for row in of_type(apply_story(again)[1], Referral)] == ["ABC2DEF"]


def test_a_code_an_earlier_tool_gave_out_is_known_and_not_published():
    story = Story(history=True).stage(0, "advocacy").contact(0, "ann")
    account, decisions = apply_story(story.fact(3, "referral_code_issued", "ann", referral_code="DEMO-1"))
    (code,) = of_type(decisions, Code)
    assert (code.code, code.imported, code.history, account.codes) == ("DEMO1", True, True, {"ann": "DEMO1"})
    assert not of_type(decisions, AdvocateOptedIn)


@pytest.mark.parametrize("email", ["kim@newco.example", "bob@acme.example"])
def test_whatever_is_heard_first_it_ends_the_same(email: str):
    """The code, the sign-up, the payment and the refund reach the shell's rows in any order of partitions."""
    seen = {
        "paid": referred(email).fact(60, "invoice_paid", amount=9.0),
        "refunded": referred(email).fact(60, "invoice_paid", amount=9.0).fact(70, "invoice_refunded"),
    }
    for story in seen.values():
        rows = of_type(apply_story(story)[1], Referral)
        ends = {ended(order, rows) for order in permutations([*range(len(rows)), "code"]) if in_order(order)}
        assert len(ends) == 1


def in_order(order: tuple) -> bool:
    """One partition stays in order; only the code, from another one, comes anywhere."""
    rows = [step for step in order if step != "code"]
    return rows == sorted(rows)


def ended(order: tuple, rows: list[Referral]) -> tuple[str, int]:
    row, code, balance = None, None, 0
    for step in order:
        code = CODE if step == "code" else code
        row = row if step == "code" else merge_facts(row, rows[step])
        if row:
            row, decisions = evaluate(row, code, 0, RULES, day(99))
            balance += len(of_type(decisions, ReferralConverted)) - len(of_type(decisions, ReversalRequired))
    assert row
    return row.status, balance


def test_a_mailbox_has_one_name():
    assert normalise_email(" A.n.n+news@GoogleMail.com ") == "ann@gmail.com"
    assert normalise_email("a.n.n+x@Acme.example") == "a.n.n@acme.example"
