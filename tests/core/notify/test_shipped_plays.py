"""The shipped plays do right by a customer."""

from pathlib import Path

import pytest

from services.notify.channels.table import CHANNELS
from services.notify.core.state import TRANSACTIONAL
from services.notify.definition import Definition, lifecycle_names, load_plays
from tests.brand import branded_config
from tests.core.notify.make import Story, at, reasons

CONFIG = Path(__file__).parents[3] / "config"
FRIDAY_NIGHT = 4 + 9 / 24
HEALTHY = {
    "seats": 10.0,
    "active_users_28d": 9.0,
    "seat_utilisation": 0.9,
    "mrr": 2000.0,
    "value_events_28d": 12.0,
    "open_urgent_tickets": 0.0,
    "nps": 9.0,
    "features_28d": 4.0,
    "entitled_features": 12.0,
    "days_in_stage": 30.0,
    "days_to_renewal": 100.0,
    "core_trend": -0.5,
    "limit_used": 0.85,
    "gated_attempts_14d": 4.0,
    "gated_users_14d": 2.0,
    "unpaid_invoices": 1.0,
    "champions_missing": 1.0,
    "days_since_core_use": 15.0,
}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Definition:
    config = branded_config(tmp_path_factory.mktemp("shipped"))
    return load_plays(config, CHANNELS.traits, lifecycle_names(config / "lifecycle.yaml"))


@pytest.fixture
def story(shipped: Definition) -> Story:
    told = Story(shipped.playbook)
    told.person("ann", role="admin", name="Ann Ash")
    return told


def plays(story: Story) -> list[tuple[str, str]]:
    return [(each.play, each.step) for each in story.planned if each.send]


def test_a_new_customer_is_welcomed_until_the_first_result(story: Story):
    story.stage("onboarding")
    story.milestone("first_use", when=1, stage="onboarding")
    story.milestone("first_value", when=7, stage="onboarding")
    assert plays(story) == [("welcome", "welcome_hello"), ("welcome", "welcome_invite_team")]
    assert reasons(story.planned) == ["guard", "stopped", "stopped"]


def test_a_customer_without_a_first_result_after_two_weeks_gets_a_person(story: Story):
    story.stage("onboarding")
    story.wait(at(20))
    assert ("welcome", "welcome_task_no_value") in plays(story)


def test_an_offer_of_seats_waits_while_a_ticket_is_urgent_and_is_not_made_to_an_unhappy_customer(story: Story):
    story.signal("seat_expansion", stage="expansion", band="green", metrics=HEALTHY | {"open_urgent_tickets": 1.0})
    story.wait(at(2))
    assert ("seat_expansion", "seat_expansion_mail") not in plays(story)
    story.signal("x", when=2.5, stage="expansion", band="green", metrics=HEALTHY | {"nps": 3.0, "unpaid_invoices": 0.0})
    assert "guard" in reasons(story.wait(at(20)))


def test_an_account_at_risk_gets_a_person_first_and_is_left_alone_once_it_recovers(story: Story):
    story.flag("at_risk", raised=True, stage="retention")
    story.flag("at_risk", raised=False, when=1, stage="retention")
    assert plays(story) == [("save", "save_task")]
    assert reasons(story.wait(at(30))) == []


def test_a_failed_payment_is_told_three_times_until_it_is_paid(story: Story):
    story.signal("payment_failed", stage="retention", metrics={"unpaid_invoices": 1.0})
    story.wait(at(4))
    story.fact("invoice_paid", when=5)
    story.wait(at(30))
    assert plays(story) == [("payment_failed", "first"), ("payment_failed", "second")]


def test_a_happy_customer_is_asked_for_a_review_once_a_quarter_at_most(story: Story):
    for when in (0, 40, 80):
        story.stage("advocacy", when, previous="retention", band="green", metrics={"nps": 10.0})
        story.stage("retention", when + 20, previous="advocacy", band="green", metrics={"nps": 10.0})
    story.wait(at(100))
    assert plays(story).count(("review_ask", "review_ask_mail")) == 1


def test_whoever_left_hears_three_times_and_not_once_they_are_back(story: Story):
    story.stage("churned")
    story.wait(at(100))
    story.stage("onboarding", when=120, previous="churned")
    story.wait(at(200))
    assert [step for play, step in plays(story) if play == "winback"] == ["winback_mail_30", "winback_mail_90"]


def test_a_play_whose_first_task_nobody_closed_goes_on_to_its_next(story: Story):
    """The follow-up is for exactly that: nobody has done anything about it yet."""
    story.flag("at_risk", raised=True, stage="retention")
    story.signal("gone_quiet", when=40, stage="retention", metrics={"days_since_core_use": 20.0})
    story.signal("detractor", when=80, stage="retention", metrics={"nps": 3.0})
    story.wait(at(120))
    assert [each for each in plays(story) if each[0] == "save"][-1] == ("save", "escalate")
    assert [each for each in plays(story) if each[0] == "gone_quiet"][-1] == ("gone_quiet", "sponsor")
    assert [each for each in plays(story) if each[0] == "detractor"][-1] == ("detractor", "followed_up")


def test_a_warning_of_the_limit_is_shown_in_the_product_and_then_mailed(story: Story):
    story.signal("limit_approach", stage="adoption", band="green", metrics={"limit_used": 0.85})
    story.wait(at(10))
    assert plays(story) == [("limit_approach", "limit_approach_in_app"), ("limit_approach", "limit_approach_mail")]


def test_a_sign_up_on_friday_night_is_welcomed_before_anything_else_is_said(story: Story):
    story.stage("onboarding", when=FRIDAY_NIGHT)
    story.wait(at(12))
    mails = [(each.step, each.at) for each in story.planned if each.send]
    assert mails == [("welcome_hello", at(7 - 4 / 24)), ("welcome_first_use", at(8 - 4 / 24))]


def test_a_mail_that_waits_for_somebody_to_write_to_gives_way_to_the_task_behind_it(shipped: Definition):
    """A person is not kept waiting for a mail that nobody can get."""
    story = Story(shipped.playbook)
    story.signal("gone_quiet", stage="retention", metrics={"days_since_core_use": 14.0})
    story.wait(at(5))
    assert [(each.step, each.reason, each.at) for each in story.planned] == [
        ("gone_quiet_mail", "no_contact", at(4)),
        ("gone_quiet_task", "", at(4)),
    ]


UNHAPPY = {
    "a red band": {"band": "red"},
    "an unpaid invoice": {"metrics": {"unpaid_invoices": 1.0}},
    "a poor answer": {"metrics": {"nps": 2.0}},
    "a notice": {"metrics": {"days_since_churn_notice": 5.0}},
}


@pytest.mark.parametrize("unhappy", UNHAPPY)
def test_nobody_who_is_unhappy_is_congratulated_or_made_an_offer(shipped: Definition, unhappy: str):
    told = Story(shipped.playbook)
    told.person("ann", role="admin")
    seen = {"band": "yellow"} | UNHAPPY[unhappy]
    seen["metrics"] = HEALTHY | {"nps": 9.0, "unpaid_invoices": 0.0} | seen.get("metrics", {})
    for play in shipped.playbook.plays.values():
        stage = min(play.stages, default="retention")
        if play.class_ in {"value", "expansion", "advocacy"} and stage != "churned" and play.on and play.on.signal:
            told.signal(play.on.signal, when=told.account.seq * 40, stage=stage, **seen)
    told.stage("value_realization", when=500, previous="adoption", **seen)
    told.stage("advocacy", when=600, previous="retention", **seen)
    told.request("referral_invite", when=700)
    told.signal("renewal_75", when=800, stage="retention", **seen)
    told.wait(at(900))
    assert plays(told) == []
    assert {"unhappy", "guard"} >= {each.reason for each in told.planned}
    assert len(told.planned) >= 10


@pytest.mark.parametrize("survey", ["nps_invite", "csat_invite"])
def test_nothing_is_asked_while_we_owe_an_answer_to_an_urgent_ticket(story: Story, survey: str):
    story.signal("urgent_ticket", stage="retention", metrics={"open_urgent_tickets": 1.0})
    story.request(survey, when=0.1)
    assert story.wait(at(3)) == []
    story.signal("closed", when=3.5, stage="retention", metrics={"open_urgent_tickets": 0.0})
    assert [(each.play, each.at) for each in story.wait(at(6))] == [(survey, at(4.1))]


def test_nobody_is_asked_for_a_review_or_told_a_story_without_the_link_to_it():
    defined = load_plays(CONFIG, CHANNELS.traits, lifecycle_names(CONFIG / "lifecycle.yaml"))
    lacking = {name: play.lacks for name, play in defined.playbook.plays.items() if play.lacks}
    assert lacking == {
        "review_ask": "brand.yaml has no link 'reviews'",
        "case_study_share": "brand.yaml has no link 'case_study'",
    }
    story = Story(defined.playbook)
    story.person("ann", role="admin")
    story.stage("advocacy", previous="retention", band="green", metrics={"nps": 10.0})
    story.wait(at(30))
    assert [(one.play, one.send, one.reason, one.detail) for one in story.planned] == [
        ("review_ask", False, "not_configured", "brand.yaml has no link 'reviews'")
    ]


@pytest.mark.parametrize("metrics", [{}, HEALTHY, dict.fromkeys(HEALTHY, 1.0), dict.fromkeys(HEALTHY, 0.0)])
def test_whatever_is_planned_can_be_written(shipped: Definition, metrics: dict[str, float]):
    written = set()
    for play in shipped.playbook.plays.values():
        story = Story(shipped.playbook)
        story.person("ann", role="admin")
        stage = min(play.stages, default="adoption")
        seen = {"metrics": metrics, "band": "green", "traits": {"name": "Acme"}}
        story.stage(play.on.stage if play.on and play.on.stage else stage, previous="onboarding", **seen)
        story.signal((play.on and play.on.signal) or "x", when=0.1, stage=stage, **seen)
        story.flag((play.on and play.on.flag) or "x", raised=True, when=0.2, stage=stage, **seen)
        story.request(play.name, when=0.3)
        for planned in story.wait(at(200)):
            if planned.send:
                footer = CHANNELS.traits[planned.channel].needs_footer(planned.outreach_class == TRANSACTIONAL)
                values = planned.values | shipped.company | {"unsubscribe_link": "https://x.test/u"}
                message = shipped.templates.render(planned.template, values, subject=planned.subject, footer=footer)
                assert message.subject
                assert footer == ("https://x.test/u" in message.text)
                written.add(planned.template)
    assert len(written) >= 10
