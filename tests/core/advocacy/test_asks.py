"""Requests to refer others: who is asked, and when a request is withdrawn."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from services.advocacy.core.account import Account, LastScore
from services.advocacy.core.asks import (
    CODE_ALPHABET,
    decline,
    derive_code,
    normalise_code,
    opt_in,
    opt_out,
    reasons_not_to_ask,
)
from services.advocacy.core.decisions import Invitation, InvitationClosed
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.errors import Rejected
from services.advocacy.core.ledger import format_money
from services.advocacy.core.reducer import advance, apply, record_answer
from services.advocacy.core.referral import Code
from services.advocacy.core.survey_kinds import Submission
from shared.contracts.advocacy import AdvocateOptedIn, NeverAskRequested
from shared.contracts.outreach import ConsentChanged, OutreachRecorded
from tests.core.advocacy.make import LOADED, SHIPPED, Story, apply_story, day, of_type, promoter

RULES = SHIPPED.referrals


def asks(decisions: list) -> list[Invitation]:
    return [one for one in of_type(decisions, Invitation) if one.purpose == "referral"]


def asked() -> tuple[Account, Invitation]:
    account, decisions = apply_story(promoter().stage(200, "advocacy"))
    return account, asks(decisions)[0]


def test_a_promoter_of_a_healthy_old_account_is_asked_on_entering_advocacy():
    _, ask = asked()
    assert (ask.user, ask.at, ask.play, ask.outreach_class) == ("ann", day(200), "referral_invite", "advocacy")
    assert ask.values["reward_referrer"] == "€50.00"


def test_the_candidate_signal_asks_too():
    _, decisions = apply_story(promoter().signal(200, "advocate_candidate"))
    assert len(asks(decisions)) == 1


def test_nobody_is_asked_because_of_what_an_import_tells_of_an_account_that_lives():
    story = promoter()
    account, _ = apply_story(story)
    imported = [replace(one, imported=True) for one in promoter().signal(200, "advocate_candidate").messages[-1:]]
    account, decisions = apply(account, imported[0], SHIPPED)
    assert asks(decisions) == []
    assert asks(advance(account, day(230), SHIPPED)[1]) == []


@pytest.mark.parametrize(
    ("story", "reason"),
    [
        (promoter(), "is no candidate for advocacy"),
        (promoter().health(180, "green", 79.0).stage(200, "advocacy"), "is not healthy enough"),
        (promoter().health(180, "yellow", None).stage(200, "advocacy"), "is not healthy enough"),
        (promoter().flag(180, "at_risk").stage(200, "advocacy"), "is at risk"),
        (promoter().metric(180, "open_urgent_tickets", 1.0).stage(200, "advocacy"), "has an urgent ticket open"),
        (promoter().fact(190, "nps_answered", "ann", score=8.0).stage(200, "advocacy"), "nobody who can be asked"),
        (promoter().stage(261, "advocacy"), "nobody who can be asked"),
        (promoter().contact(180, "ann", gone=True).stage(200, "advocacy"), "nobody who can be asked"),
        (promoter().stage(175, "advocacy"), "for less than 180 days"),
    ],
)
def test_each_rule_alone_stops_the_ask_and_says_why(story: Story, reason: str):
    account, decisions = apply_story(story)
    assert not asks(decisions)
    assert any(reason in said for said in reasons_not_to_ask(account, RULES.ask))


def test_a_candidate_is_asked_when_the_last_obstacle_goes():
    story = promoter().flag(190, "at_risk").signal(200, "advocate_candidate").flag(210, "at_risk", raised=False)
    _, decisions = apply_story(story)
    assert [ask.at for ask in asks(decisions)] == [day(210)]


def test_time_alone_may_lift_the_last_obstacle():
    account, decisions = apply_story(promoter().stage(175, "advocacy"))
    assert not asks(decisions)
    _, decisions = advance(account, day(300), SHIPPED)
    assert [ask.at for ask in asks(decisions)] == [day(180)]


def test_after_an_ask_the_account_rests_for_ninety_days():
    story = promoter().stage(200, "advocacy").fact(280, "nps_answered", "ann", score=9.0)
    account, decisions = apply_story(story.signal(285, "advocate_candidate"))
    assert len(asks(decisions)) == 1
    _, decisions = advance(account, day(400), SHIPPED)
    assert [ask.at for ask in asks(decisions)] == [day(290)]


def test_who_holds_a_code_already_is_not_asked_again():
    account, ask = asked()
    account, _ = opt_in(account, ask.id, RULES, day(202))
    account = replace(account, scores={"ann": {"nps": LastScore(10, day(330))}})
    assert not asks(advance(account, day(900), SHIPPED)[1])
    assert reasons_not_to_ask(replace(account, clock=day(340)), RULES.ask) == [
        "nobody who can be asked is a promoter of the last 90 days"
    ]


def test_the_keenest_and_latest_promoter_is_asked():
    story = promoter().contact(171, "bob").contact(171, "cleo")
    story.fact(172, "nps_answered", "bob", score=9.0).fact(173, "nps_answered", "cleo", score=10.0)
    _, decisions = apply_story(story.stage(200, "advocacy"))
    assert [ask.user for ask in asks(decisions)] == ["cleo"]


@pytest.mark.parametrize(
    ("fall", "reason"),
    [
        (lambda story: story.health(201, "yellow", 70.0), "its health fell"),
        (lambda story: story.health(201, "green", 59.0), "its health fell"),
        (lambda story: story.flag(201, "at_risk"), "is at risk"),
        (lambda story: story.stage(201, "churned"), "has churned"),
        (lambda story: story.metric(201, "open_urgent_tickets", 2.0), "has an urgent ticket open"),
        (lambda story: story.fact(201, "nps_answered", "ann", score=3.0), "the person is no longer a promoter"),
        (lambda story: story.contact(201, "ann", gone=True), "the person left or unsubscribed"),
    ],
)
def test_an_ask_that_is_out_is_withdrawn_at_once_when_the_account_falls(fall: Callable[[Story], Story], reason: str):
    account, decisions = apply_story(fall(promoter().stage(200, "advocacy")))
    (closed,) = of_type(decisions, InvitationClosed)
    assert (closed.id, closed.status, closed.reason, closed.at) == (
        asks(decisions)[0].id,
        "withdrawn",
        reason,
        day(201),
    )
    with pytest.raises(Rejected, match="no longer open"):
        opt_in(account, closed.id, RULES, day(202))


def test_an_unhappy_answer_on_our_own_page_withdraws_the_ask():
    account, ask = asked()
    invitation = replace(ask, id="s", purpose="survey", name="nps")
    account, decisions = record_answer(account, invitation, None, Submission(2, ""), SHIPPED, day(201))
    assert [closed.status for closed in of_type(decisions, InvitationClosed)] == ["withdrawn"]


def test_opting_in_gives_a_code_and_tells_of_it():
    account, ask = asked()
    account, decisions = opt_in(account, ask.id, RULES, day(202))
    (code,), (message,) = of_type(decisions, Code), of_type(decisions, AdvocateOptedIn)
    assert code.code == message.code == account.codes["ann"] == derive_code("acme", "ann")
    assert (code.email, code.domains, code.issued_at) == ("ann@acme.example", ("acme.example",), day(202))
    assert opt_in(account, ask.id, RULES, day(220)) == (account, [])


def test_a_code_somebody_holds_is_answered_with_the_next_one():
    account, ask = asked()
    _, first = opt_in(account, ask.id, RULES, day(202))
    _, second = opt_in(account, ask.id, RULES, day(202), attempt=1)
    assert of_type(first, Code)[0].code != of_type(second, Code)[0].code


def test_declining_gives_a_hundred_and_eighty_days_of_peace():
    account, ask = asked()
    account, _ = decline(account, ask.id, day(205))
    assert decline(account, ask.id, day(206)) == (account, [])
    late = Story()
    late.messages = promoter().stage(1, "x").stage(1, "x").fact(380, "nps_answered", "ann", score=10.0).messages[-1:]
    account, decisions = apply_story(late, account=account)
    assert not asks(decisions)
    assert reasons_not_to_ask(account, RULES.ask) == ["declined within 180 days"]
    _, decisions = advance(account, day(400), SHIPPED)
    assert [again.at for again in asks(decisions)] == [day(385)]


def test_who_declined_may_still_change_their_mind_while_it_is_open():
    account, ask = asked()
    account, _ = decline(account, ask.id, day(201))
    account, decisions = opt_in(account, ask.id, RULES, day(202))
    assert of_type(decisions, Code)
    with pytest.raises(Rejected, match="accepted"):
        decline(account, ask.id, day(203))


@pytest.mark.parametrize("when", [214, 900])
def test_a_yes_is_welcome_however_late_it_comes(when: int):
    account, ask = asked()
    assert of_type(opt_in(account, ask.id, RULES, day(when))[1], Code)


def test_an_ask_nobody_made_is_refused():
    with pytest.raises(Rejected, match="do not have it"):
        decline(Account(id="acme"), "guess", day(1))


def test_a_code_is_reserved_for_the_mail_and_nobody_has_said_yes_by_it():
    account, decisions = apply_story(promoter().stage(200, "advocacy"))
    (code,), (ask,) = of_type(decisions, Code), asks(decisions)
    assert (code.code, code.reserved, account.codes) == (ask.code, True, {})
    assert decisions.index(code) < decisions.index(ask)
    assert not of_type(apply_story(promoter(history=True).stage(200, "advocacy"))[1], Code)


def test_who_wants_to_be_asked_no_more_is_not_until_they_subscribe_to_everything_again():
    account, _ = asked()
    account, decisions = opt_out(account, "ann", day(202))
    assert [closed.status for closed in of_type(decisions, InvitationClosed)] == ["declined"]
    (told,) = of_type(decisions, NeverAskRequested)
    assert (told.account, told.user, told.outreach_class) == ("acme", "ann", "advocacy")
    account = replace(account, scores={"ann": {"nps": LastScore(10, day(850))}})
    assert not asks(advance(account, day(900), SHIPPED)[1])
    back = ConsentChanged(id="c", account="acme", at=day(901), decided_at=day(901), user="ann", topic="*", granted=True)
    account, _ = apply(replace(account, clock=day(901)), back, SHIPPED)
    assert reasons_not_to_ask(account, RULES.ask) == []


def test_an_ask_of_an_imported_past_is_planned_marked_and_cannot_be_taken_up():
    account, decisions = apply_story(promoter(history=True).stage(200, "advocacy"))
    (ask,) = asks(decisions)
    assert ask.history
    with pytest.raises(Rejected):
        opt_in(account, ask.id, RULES, day(201))


def report(ask: Invitation, status: str, at: float, reason: str = "", **other: str) -> OutreachRecorded:
    told = {"play": ask.play, "user": ask.user, "occurrence": ask.id, **other}
    return OutreachRecorded(
        id=f"o{at}", account="acme", at=day(at), decided_at=day(at), delivery="d", step="1", channel="email",
        outreach_class="advocacy", status=status, reason=reason, **told,
    )  # fmt: skip


def kept_promoter(account: Account, at: float) -> Account:
    """Ann said once more that she would recommend us."""
    return replace(account, scores={"ann": {"nps": LastScore(10, day(at))}})


def test_as_shipped_the_review_is_asked_for_first():
    account, decisions = apply_story(promoter().stage(200, "advocacy"), LOADED)
    assert not asks(decisions)
    assert any("other favours come first" in reason for reason in reasons_not_to_ask(account, LOADED.referrals.ask))
    assert [ask.at for ask in asks(advance(account, day(300), LOADED)[1])] == [day(214)]


def test_the_wait_counts_from_the_first_of_the_signals_and_anew_in_the_stage():
    weekly = promoter().signal(190, "advocate_candidate").signal(197, "advocate_candidate")
    account, _ = apply_story(weekly, LOADED)
    assert [ask.at for ask in asks(advance(account, day(300), LOADED)[1])] == [day(204)]
    account, _ = apply_story(weekly.stage(200, "advocacy"), LOADED)
    assert [ask.at for ask in asks(advance(account, day(300), LOADED)[1])] == [day(214)]


def test_whoever_was_asked_for_a_review_is_asked_to_refer_a_quarter_later():
    account, ask = asked()
    account, _ = apply_story(promoter().stage(200, "retention"))
    review = report(ask, "sent", 203, play="review_ask", occurrence="x")
    account, _ = apply(account, review, SHIPPED)
    account = kept_promoter(replace(account, stage="advocacy"), 250)
    assert [again.at for again in asks(advance(account, day(400), SHIPPED)[1])] == [day(293)]


@pytest.mark.parametrize("status", ["previewed", "skipped", "failed"])
def test_a_favour_that_was_not_sent_costs_nothing(status: str):
    account, ask = asked()
    account, _ = apply(account, report(ask, status, 203, play="review_ask", occurrence="x"), SHIPPED)
    assert account.favours == {}


@pytest.mark.parametrize(("reason", "days"), [("budget", 7), ("urgent_ticket", 1)])
def test_an_ask_that_was_withheld_is_made_when_the_reason_passes(reason: str, days: int):
    account, ask = asked()
    account, decisions = apply(account, report(ask, "skipped", 210, reason), SHIPPED)
    (closed,) = of_type(decisions, InvitationClosed)
    assert (closed.id, closed.status, closed.reason) == (ask.id, "withdrawn", f"was not sent: {reason}")
    account, decisions = advance(account, day(230), SHIPPED)
    assert [(again.user, again.at, again.code) for again in asks(decisions)] == [("ann", day(210 + days), ask.code)]


def test_an_ask_that_is_withheld_for_good_is_not_made_again_soon():
    account, ask = asked()
    account, _ = apply(account, report(ask, "skipped", 210, "holdout"), SHIPPED)
    assert [again.at for again in asks(advance(kept_promoter(account, 260), day(300), SHIPPED)[1])] == [day(290)]


def test_a_previewed_ask_costs_a_fortnight_and_one_that_was_sent_a_quarter_from_then():
    account, ask = asked()
    previewed, _ = apply(account, report(ask, "previewed", 200), SHIPPED)
    assert [again.at for again in asks(advance(previewed, day(220), SHIPPED)[1])] == [day(214)]
    sent, _ = apply(previewed, report(ask, "sent", 205), SHIPPED)
    assert [again.at for again in asks(advance(kept_promoter(sent, 260), day(300), SHIPPED)[1])] == [day(295)]


def test_an_imported_ask_keeps_nobody_from_being_asked():
    live, decisions = apply_story(promoter(history=True).stage(200, "advocacy").clock(210, live=True))
    assert [(ask.at, ask.history) for ask in asks(decisions)] == [(day(200), True)]
    assert reasons_not_to_ask(live, RULES.ask) == []


def test_referrals_can_be_switched_off():
    off = Definitions(SHIPPED.surveys, replace(RULES, enabled=False), SHIPPED.kinds, SHIPPED.versions)
    _, decisions = apply_story(promoter().stage(200, "advocacy"), off)
    assert not asks(decisions)


def test_codes_are_seven_clear_letters_and_read_as_people_type_them():
    codes = {derive_code("acme", f"user-{number}") for number in range(5000)}
    assert len(codes) == 5000
    assert all(len(code) == 7 and set(code) <= set(CODE_ALPHABET) for code in codes)
    assert normalise_code(" abc-2d ef ") == "ABC2DEF"


def test_money_is_shown_as_people_read_it():
    assert [format_money(5000, "EUR"), format_money(5, "USD"), format_money(0, "EUR")] == ["€50.00", "$0.05", ""]
