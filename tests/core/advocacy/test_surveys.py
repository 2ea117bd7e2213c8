"""Surveys: who is invited, when, and how often."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from services.advocacy.core.account import Account, DueSurvey
from services.advocacy.core.decisions import DeliveryReported, Invitation, SurveyWithheld
from services.advocacy.core.definitions import Trigger
from services.advocacy.core.invitations import outreach_request
from services.advocacy.core.reducer import advance, apply, next_due, timer
from services.advocacy.store.accounts import ACCOUNTS
from shared.contracts.outreach import ConsentChanged, OutreachRecorded
from shared.durations import Duration
from tests.core.advocacy.make import SHIPPED, START, Story, apply_story, day, of_type


def newcomer(**values: bool) -> Story:
    return Story(**values).stage(0, "onboarding").contact(1, "ann").contact(1, "bob", role="user")


def test_day_sixty_invites_everybody_to_the_nps_survey():
    _, decisions = apply_story(newcomer().stage(70, "value_realization"))
    invited = of_type(decisions, Invitation)
    assert [(one.name, one.user, one.at, one.cause) for one in invited] == [
        ("nps", "ann", day(60), "day 60"),
        ("nps", "bob", day(60), "day 60"),
    ]


def test_the_day_comes_even_when_nothing_else_happens():
    account, _ = apply_story(newcomer())
    assert timer(account, SHIPPED) == day(60)
    account, decisions = advance(account, day(60), SHIPPED)
    assert len(of_type(decisions, Invitation)) == 2
    assert advance(account, day(61), SHIPPED) == (account, [])


def test_a_signal_and_a_stage_start_a_survey_too():
    _, by_signal = apply_story(newcomer().signal(5, "renewal_120"))
    _, by_stage = apply_story(newcomer().stage(5, "retention"))
    assert {one.cause for one in of_type(by_signal, Invitation)} == {"signal renewal_120"}
    assert {one.cause for one in of_type(by_stage, Invitation)} == {"entered retention"}


@pytest.mark.parametrize(
    ("trigger", "story", "cause"),
    [
        (Trigger(stage="adoption", from_="onboarding"), newcomer().stage(5, "adoption"), "entered adoption"),
        (Trigger(stage="adoption", from_="expansion"), newcomer().stage(5, "adoption"), None),
        (Trigger(flag="at_risk"), newcomer().flag(5, "at_risk"), "flag at_risk"),
        (Trigger(flag="at_risk"), newcomer().flag(5, "at_risk", raised=False), None),
        (Trigger(milestone="first_report"), newcomer().milestone(5, "first_report"), "milestone first_report"),
        (Trigger(tenure=Duration(hours=36)), newcomer().signal(5, "anything"), "tenure of 36 hours"),
    ],
)
def test_a_survey_starts_with_whatever_starts_a_play_and_with_tenure(trigger: Trigger, story: Story, cause: str | None):
    surveys = tuple(replace(survey, on=(trigger,)) for survey in SHIPPED.surveys if survey.name == "nps")
    _, decisions = apply_story(story, SHIPPED._replace(surveys=surveys))
    assert {one.cause for one in of_type(decisions, Invitation)} == ({cause} if cause else set())


def test_nobody_gets_the_same_survey_twice_in_ninety_days():
    _, decisions = apply_story(
        newcomer().signal(100, "renewal_120").signal(149, "renewal_120").signal(150, "renewal_120")
    )
    assert [one.at for one in of_type(decisions, Invitation) if one.user == "ann"] == [day(60), day(150)]
    held = of_type(decisions, SurveyWithheld)
    assert {one.reason for one in held} == {"2 was asked the same within 90 days"}


def test_nobody_gets_any_survey_within_thirty_days_of_another():
    story = Story().stage(0, "onboarding").contact(1, "ann").stage(40, "adoption").stage(75, "adoption")
    _, decisions = apply_story(story)
    assert [(one.name, one.at) for one in of_type(decisions, Invitation)] == [("csat", day(40)), ("nps", day(70))]
    assert [one.reason for one in of_type(decisions, SurveyWithheld)] == [
        "1 was asked something within 30 days",
        "1 was asked the same within 180 days",
    ]


def reported(invitation: Invitation, status: str, at: float, reason: str = "", **more: Any) -> OutreachRecorded:
    """What notify says of the request for this invitation."""
    return OutreachRecorded(
        id=f"o{at}", account=invitation.account, at=day(at), decided_at=day(at), delivery="d", play=invitation.play,
        step="1", channel="email", outreach_class="survey", status=status, user=invitation.user, reason=reason,
        occurrence=more.pop("occurrence", outreach_request(invitation, "", day(at)).id), **more,
    )  # fmt: skip


def lived(account: Account, until: float, status: str = "sent", reason: str = "") -> list[tuple[str, datetime]]:
    """Whom the account's time asks until then, where notify reports this of each invitation half a day later."""
    invited: list[tuple[str, datetime]] = []
    while (due := next_due(account, SHIPPED)) is not None and due <= day(until):
        account, decisions = advance(account, due, SHIPPED)
        for one in of_type(decisions, Invitation):
            invited.append((one.user, one.at))
            later = (one.at - START).days + 0.5
            account, _ = apply(account, reported(one, status, later, reason), SHIPPED)
    return invited


def steady() -> Account:
    return apply_story(Story().stage(0, "onboarding").contact(1, "ann").clock(1, live=True))[0]


def test_a_steady_customer_is_asked_every_quarter_and_never_more_often():
    asked = [at for _, at in lived(steady(), 3 * 365)]
    assert len(asked) == 12
    assert all(timedelta(days=90) <= later - earlier <= timedelta(days=91) for earlier, later in pairwise(asked))


def test_a_preview_uses_up_nobodys_survey():
    account, decisions = apply_story(newcomer().signal(5, "renewal_120"))
    anns = of_type(decisions, Invitation)[0]
    account, _ = apply(account, reported(anns, "previewed", 5), SHIPPED)
    _, decisions = apply_story(at_day(20), account=account)
    assert [one.user for one in of_type(decisions, Invitation)] == ["ann"]
    sent, _ = apply(account, reported(anns, "sent", 6), SHIPPED)
    assert not of_type(apply_story(at_day(20), account=sent)[1], Invitation)


def test_a_report_is_about_the_invitation_that_it_names_and_never_about_the_latest():
    account, decisions = apply_story(newcomer().signal(5, "renewal_120").clock(6, live=True))
    anns = of_type(decisions, Invitation)[0]
    other = replace(anns, id="an invitation that was replaced since")
    _, decided = apply(account, reported(other, "skipped", 7, "budget"), SHIPPED)
    assert [one.id for one in of_type(decided, DeliveryReported)] == [other.id]
    nobody = Account(id="acme")
    assert [one.id for one in of_type(apply(nobody, reported(anns, "sent", 7), SHIPPED)[1], DeliveryReported)] == [
        anns.id
    ]
    unsaid = [apply(account, reported(anns, "sent", at, occurrence=""), SHIPPED)[1] for at in (4, 7)]
    assert [[one.id for one in of_type(some, DeliveryReported)] for some in unsaid] == [[], [anns.id]]


def at_day(number: float, stage: str = "retention") -> Story:
    """One more message of the account that `newcomer` tells of."""
    story = newcomer().signal(number - 2, "x").signal(number - 1, "x").stage(number, stage)
    story.messages = story.messages[-1:]
    return story


def test_an_import_uses_up_nobodys_survey_and_leaves_nothing_due():
    story = newcomer(history=True).signal(70, "renewal_120").clock(80, live=True)
    account, decisions = apply_story(story)
    assert [one.history for one in of_type(decisions, Invitation)] == [True, True]
    _, decisions = advance(account, day(89), SHIPPED)
    assert not of_type(decisions, Invitation)
    _, decisions = advance(account, day(90), SHIPPED)
    assert [(one.user, one.history) for one in of_type(decisions, Invitation)] == [("ann", False), ("bob", False)]


@pytest.mark.parametrize(
    ("reason", "days"), [("budget", 7), ("guard", 7), ("urgent_ticket", 1), ("quiet_hours", 1), ("expired", 1)]
)
def test_what_notify_withholds_for_a_reason_that_passes_stays_due(reason: str, days: int):
    account, decisions = apply_story(newcomer().signal(5, "renewal_120"))
    anns, bobs = of_type(decisions, Invitation)
    account, _ = apply(account, reported(bobs, "sent", 5.5), SHIPPED)
    account, _ = apply(account, reported(anns, "skipped", 10, reason), SHIPPED)
    assert next_due(account, SHIPPED) == day(10 + days)
    account, decisions = advance(account, day(20), SHIPPED)
    (again,) = of_type(decisions, Invitation)
    assert (again.user, again.at, again.cause) == ("ann", day(10 + days), f"was withheld: {reason}")
    assert again.id != anns.id
    assert account.due_surveys == {}


@pytest.mark.parametrize(
    ("status", "reason"), [("skipped", "holdout"), ("skipped", "unsubscribed"), ("failed", "refused")]
)
def test_what_is_not_sent_for_good_is_not_asked_again_for_the_same_occasion(status: str, reason: str):
    account, decisions = apply_story(newcomer().signal(5, "renewal_120"))
    for one in of_type(decisions, Invitation):
        account, _ = apply(account, reported(one, status, 6, reason), SHIPPED)
    assert not of_type(advance(account, day(59), SHIPPED)[1], Invitation)
    assert len(of_type(advance(account, day(60), SHIPPED)[1], Invitation)) == 2


def test_what_stays_withheld_is_given_up_in_the_end():
    asked = lived(steady(), 80, "skipped", "budget")
    assert [(at - START).days for _, at in asked] == [60, 67, 74]
    withheld = replace(steady(), due_surveys={"nps": DueSurvey(day(1), "x", "x", ("ann",))}, clock=day(183))
    assert apply_story(at_day(184, "adoption"), account=withheld)[0].due_surveys == {}


def test_a_rest_begins_when_the_mail_was_sent():
    account, decisions = apply_story(newcomer().signal(5, "renewal_120"))
    for one in of_type(decisions, Invitation):
        account, _ = apply(account, reported(one, "sent", 8), SHIPPED)
    account, decisions = advance(account, day(97.9), SHIPPED)
    assert not of_type(decisions, Invitation)
    assert [one.at for one in of_type(advance(account, day(98), SHIPPED)[1], Invitation)] == [day(98), day(98)]


def test_whoever_was_asked_a_while_ago_has_their_turn_when_their_rest_is_over():
    account, _ = apply_story(newcomer().fact(30, "nps_answered", "ann", score=7.0))
    _, decisions = advance(account, day(130), SHIPPED)
    assert [(one.user, one.at) for one in of_type(decisions, Invitation)] == [("bob", day(60)), ("ann", day(120))]


def test_a_survey_that_nobody_could_be_asked_goes_to_whoever_joins():
    story = Story().stage(0, "onboarding").signal(5, "renewal_120").contact(9, "ann")
    account, decisions = apply_story(story)
    assert [(one.user, one.at) for one in of_type(decisions, Invitation)] == [("ann", day(9))]
    assert account.due_surveys == {}


def test_a_late_report_on_an_earlier_invitation_says_nothing_of_the_later_one():
    account, decisions = apply_story(newcomer().signal(5, "renewal_120"))
    anns = of_type(decisions, Invitation)[0]
    account, _ = apply(account, reported(anns, "skipped", 10, "budget"), SHIPPED)
    account, decisions = advance(account, day(20), SHIPPED)
    account, told = apply(account, reported(anns, "skipped", 21, "budget"), SHIPPED)
    assert [one.id for one in of_type(told, DeliveryReported)] == [anns.id]
    assert account.due_surveys == {}


def test_an_answer_given_elsewhere_counts_as_having_been_asked():
    _, decisions = apply_story(newcomer().fact(30, "nps_answered", "ann", score=7.0).stage(61, "adoption"))
    assert [one.user for one in of_type(decisions, Invitation) if one.name == "nps"] == ["bob"]


def test_the_audience_is_the_first_few_in_the_order_of_roles():
    story = Story().stage(0, "onboarding").contact(1, "zoe", role="Admin").contact(1, "amy", role="owner")
    _, decisions = apply_story(story.contact(1, "bob", role="user").stage(3, "adoption"))
    assert [one.user for one in of_type(decisions, Invitation)] == ["zoe"]


def test_who_left_or_unsubscribed_or_has_no_address_is_not_asked():
    story = newcomer().contact(2, "ann", gone=True).contact(2, "bob", unsubscribed=True)
    _, decisions = apply_story(story.signal(3, "renewal_120"))
    assert [one.reason for one in of_type(decisions, SurveyWithheld)] == ["2 left or unsubscribed"]
    assert not of_type(decisions, Invitation)


def test_who_unsubscribed_from_surveys_is_not_asked_until_they_come_back():
    account, _ = apply_story(newcomer())
    no = ConsentChanged(
        id="c1", account="acme", at=day(2), decided_at=day(2), user="ann", topic="survey", granted=False
    )
    yes = ConsentChanged(id="c2", account="acme", at=day(2), decided_at=day(2), user="ann", topic="*", granted=True)
    account, _ = apply(account, no, SHIPPED)
    _, decisions = advance(account, day(60), SHIPPED)
    assert [one.user for one in of_type(decisions, Invitation)] == ["bob"]
    _, decisions = advance(apply(account, yes, SHIPPED)[0], day(60), SHIPPED)
    assert [one.user for one in of_type(decisions, Invitation)] == ["ann", "bob"]


def test_a_churned_account_is_left_alone():
    _, decisions = apply_story(newcomer().stage(50, "churned").stage(70, "churned"))
    assert [one.reason for one in of_type(decisions, SurveyWithheld)] == ["not sent in stage churned"]


def test_a_customer_older_than_our_first_sight_has_had_its_day():
    _, decisions = apply_story(newcomer().metric(2, "tenure_days", 400.0).signal(90, "nothing"))
    assert {(one.cause, one.at) for one in of_type(decisions, Invitation)} == {("every 90 days, 5", day(52))}


def test_the_beginning_never_moves_later_so_that_no_day_comes_twice():
    _, decisions = apply_story(newcomer().metric(61, "tenure_days", 1.0).signal(200, "x").clock(300, live=True))
    assert {one.at for one in of_type(decisions, Invitation) if one.cause == "day 60"} == {day(60)}


def test_an_imported_past_is_planned_and_marked():
    account, decisions = apply_story(newcomer(history=True).clock(70, live=False))
    assert [one.history for one in of_type(decisions, Invitation)] == [True, True]
    assert timer(account, SHIPPED) is None
    assert next_due(account, SHIPPED) is not None


def test_the_request_to_notify_carries_link_class_and_expiry():
    _, decisions = apply_story(newcomer().signal(5, "renewal_120"))
    request = outreach_request(of_type(decisions, Invitation)[0], "https://cs.example/a/x", day(5))
    assert (request.play, request.outreach_class, request.link) == ("nps_invite", "survey", "https://cs.example/a/x")
    assert request.expires_at == day(5) + timedelta(days=14)
    assert request.values["survey"] == "nps"


def test_a_message_seen_before_changes_nothing():
    story = newcomer().signal(5, "renewal_120")
    account, _ = apply_story(story)
    assert apply(account, story.messages[-1], SHIPPED) == (account, [])


def test_what_notify_tells_reaches_the_invitation():
    account, decisions = apply_story(newcomer().signal(5, "renewal_120"))
    skipped = OutreachRecorded(
        id="o", account="acme", at=day(6), decided_at=day(6), delivery="d", play="nps_invite", step="1",
        channel="email", outreach_class="survey", status="skipped", user="bob", reason="budget",
    )  # fmt: skip
    _, noted = apply(account, skipped, SHIPPED)
    bobs = next(one for one in of_type(decisions, Invitation) if one.user == "bob")
    assert [(one.id, one.status, one.reason) for one in of_type(noted, DeliveryReported)] == [
        (bobs.id, "skipped", "budget")
    ]


def test_the_state_survives_its_row():
    account, _ = apply_story(newcomer().signal(5, "renewal_120").fact(8, "nps_answered", "ann", score=9.0))
    assert ACCOUNTS.decode(ACCOUNTS.encode(account)) == account
    assert ACCOUNTS.decode(ACCOUNTS.encode(Account(id="new"))).clock < START
