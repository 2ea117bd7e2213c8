"""Surveys: who is invited, when, and how often."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from services.advocacy.core.account import Account
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
    assert [one.reason for one in held] == ["2 was asked the same within 90 days"] * 2


def test_nobody_gets_any_survey_within_thirty_days_of_another():
    story = Story().stage(0, "onboarding").contact(1, "ann").stage(40, "adoption").stage(75, "adoption")
    _, decisions = apply_story(story)
    assert [(one.name, one.at) for one in of_type(decisions, Invitation)] == [("csat", day(40))]
    assert [one.reason for one in of_type(decisions, SurveyWithheld)] == [
        "1 was asked something within 30 days",
        "1 was asked the same within 180 days",
    ]


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
    assert not of_type(decisions, Invitation)


def test_the_beginning_never_moves_later_so_that_no_day_comes_twice():
    _, decisions = apply_story(newcomer().metric(61, "tenure_days", 1.0).signal(200, "x").clock(300, live=True))
    assert {one.at for one in of_type(decisions, Invitation)} == {day(60)}


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
