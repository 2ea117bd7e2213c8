"""Plays engine: a play does what its file says, at its time, to the people it names."""

from datetime import timedelta

import pytest

from services.notify.core.account_view import template_values
from services.notify.core.delivery import close_task
from services.notify.core.engine import next_due
from services.notify.core.playbook import Audience, Counting, Stop, Trigger
from services.notify.store import LAYOUTS
from tests.core.notify.make import Story, at, book, play, reasons, sent, step

SERIES = (step(0, template="one"), step(2, template="two"), step(9, template="three"))


def test_a_series_starts_with_its_stage_and_goes_out_on_its_days():
    story = Story(book(play("welcome", Trigger(stage="onboarding"), SERIES)))
    story.person()
    story.stage("onboarding")
    assert sent(story.wait(at(0))) == [("one", "ann")]
    assert sent(story.wait(at(1.9))) == []
    assert next_due(story.account) == at(2)
    assert sent(story.wait(at(30))) == [("two", "ann"), ("three", "ann")]
    assert [planned.at for planned in story.planned] == [at(0), at(2), at(9)]


def test_steps_due_before_a_message_see_the_account_as_it_stood_then():
    story = Story(book(play("welcome", Trigger(stage="onboarding"), [step(2)], when=["seats >= 5"])))
    story.person()
    story.stage("onboarding", metrics={"seats": 5.0})
    assert sent(story.signal("other", when=3, stage="onboarding", metrics={"seats": 1.0})) == [("hello", "ann")]


def test_entering_a_stage_from_elsewhere_does_not_start_a_play_that_asks_where_from():
    story = Story(book(play("hello", Trigger(stage="adoption", from_="onboarding"))))
    story.person()
    story.stage("adoption", previous="retention")
    story.stage("adoption", when=1, previous="onboarding")
    assert [planned.occurrence for planned in story.wait(at(2))] == ["m3"]


def test_a_message_waits_for_somebody_to_write_to():
    story = Story(book(play()))
    story.signal()
    assert story.wait(at(1)) == []
    story.person(when=2)
    assert sent(story.wait(at(2))) == [("hello", "ann")]


def test_nobody_to_write_to_in_time_is_told_as_a_skip():
    story = Story(book(play()))
    story.signal()
    assert reasons(story.wait(at(7))) == ["no_contact"]


def test_the_first_role_that_somebody_has_is_addressed():
    story = Story(book(play(audience=Audience(["champion", "admin", "any"], 2))))
    story.person("ann", role="user")
    story.person("bob", role="Admin")
    story.person("cleo", role="admin", gone=True)
    story.signal()
    assert sent(story.wait(at(0))) == [("hello", "bob")]


def test_somebody_who_agrees_is_preferred_to_somebody_who_unsubscribed():
    story = Story(book(play(audience=Audience(["champion", "any"]))))
    story.person("ann", role="champion", unsubscribed=True)
    story.person("bob", role="user")
    story.signal()
    assert sent(story.wait(at(0))) == [("hello", "bob")]


def test_a_play_ends_when_the_account_leaves_its_stages_and_says_what_was_not_sent():
    stop = [Stop(stage="left")]
    story = Story(book(play("welcome", Trigger(stage="onboarding"), SERIES, stages=["onboarding"], stop=stop)))
    story.person()
    story.stage("onboarding")
    told = story.stage("adoption", when=1, previous="onboarding")
    assert sent(told) == [("one", "ann")]
    assert reasons(told) == ["stopped", "stopped"]
    assert story.account.runs == []


def test_a_milestone_a_cleared_flag_a_signal_a_fact_or_a_condition_ends_a_play():
    ends = {
        "milestone": lambda story: story.milestone("first_value", when=1),
        "flag_cleared": lambda story: story.flag("stalled", raised=False, when=1),
        "signal": lambda story: story.signal("payment", when=1),
        "fact": lambda story: story.fact("invoice_paid", when=1),
        "when": lambda story: story.signal("other", when=1, metrics={"unpaid": 0.0}),
    }
    named = {"milestone": "first_value", "flag_cleared": "stalled", "signal": "payment", "fact": "invoice_paid"}
    for kind, end in ends.items():
        stop = Stop(**{kind: named.get(kind, "unpaid == 0")})
        story = Story(book(play("hello", Trigger(flag="stalled"), [step(2)], stop=[stop])))
        story.flag("stalled", raised=True)
        assert reasons(end(story)) == ["stopped"], kind


def test_a_play_rests_after_it_reached_somebody_but_not_after_a_guard_said_no():
    story = Story(book(play(cooldown=timedelta(days=30), when=["seats >= 5"])))
    story.person()
    story.signal(metrics={"seats": 1.0})
    story.signal(when=1, metrics={"seats": 9.0})
    story.signal(when=9, metrics={"seats": 9.0})
    story.signal(when=32, metrics={"seats": 9.0})
    story.wait(at(40))
    assert [planned.reason for planned in story.planned] == ["guard", "", "resting", ""]


def test_a_play_that_is_under_way_is_not_started_again():
    story = Story(book(play(steps=[step(5)])))
    story.signal()
    assert reasons(story.signal(when=1)) == ["running"]


def test_a_play_of_another_stage_is_not_started():
    story = Story(book(play(stages=["expansion"])))
    assert reasons(story.signal(stage="adoption")) == ["other_stage"]


def test_a_request_goes_to_the_person_it_names_until_it_expires():
    story = Story(book(play("nps", request=True, class_="survey", steps=[step(0, expires=10)])))
    story.person("ann")
    story.person("bob")
    story.request("nps", "bob", values={"question": "Why?"}, expires_at=at(3))
    (planned,) = story.wait(at(0))
    assert (planned.user, planned.expires_at) == ("bob", at(3))
    assert planned.values["link"] == "https://x.test/s"
    assert planned.values["ask_question"] == "Why?"


def test_a_request_for_a_play_that_is_not_there_is_told():
    story = Story(book(play("not_by_request")))
    assert reasons(story.request("nsp")) == ["unknown_play"]
    assert reasons(story.request("not_by_request")) == ["unknown_play"]


def test_a_task_needs_no_contact_and_costs_no_budget():
    story = Story(book(play(steps=[step(0, "task")])))
    story.signal()
    assert sent(story.wait(at(0))) == [("hello", None)]
    assert story.account.budget_entries == []


def test_a_play_has_one_open_task_until_somebody_closes_it():
    story = Story(book(play(steps=[step(0, "task")])))
    story.signal()
    story.signal(when=1)
    assert reasons(story.wait(at(1))) == ["open_task"]
    story.account = close_task(story.account, story.planned[0].id)
    story.signal(when=2)
    assert sent(story.wait(at(2))) == [("hello", None)]


def test_a_message_that_comes_again_changes_nothing():
    story = Story(book(play("nps", request=True)))
    story.person()
    story.request("nps")
    before = story.account
    story.request("nps")
    assert story.account == before


def test_a_play_that_left_the_playbook_ends_with_a_reason():
    story = Story(book(play(steps=[step(3)])))
    story.signal()
    story.book = book()
    assert reasons(story.wait(at(3))) == ["play_changed"]
    assert story.account.runs == []


def test_a_corrected_milestone_starts_nothing():
    story = Story(book(play("hello", Trigger(milestone="first_value"))))
    story.milestone("first_value", corrected=True)
    assert story.account.runs == []


def test_what_an_import_tells_of_an_account_that_lives_starts_nothing_and_holds_nothing():
    story = Story(book(play("hello", Trigger(signal="hello"))))
    story.person()
    story.signal(when=1, imported=True)
    assert story.account.runs == []
    assert not story.account.replaying
    story.signal(when=2)
    assert len(story.account.runs) == 1


def test_an_account_comes_back_from_bytes_as_it_was():
    story = Story(book(play("welcome", Trigger(stage="onboarding"), SERIES)))
    story.person(timezone="Europe/Berlin")
    story.stage("onboarding", metrics={"seats": 5.0, "plan": "pro"}, milestones={"first_use": at(0)})
    story.wait(at(1))
    assert LAYOUTS.decode(LAYOUTS.encode(story.account)) == story.account


def test_what_changed_is_measured_from_about_a_quarter_ago():
    story = Story(book(play())._replace(compared_metrics=frozenset({"users"})))
    story.person()
    for month in range(5):
        story.signal("tick", when=30 * month, metrics={"users": 10.0 * month})
    story.signal(when=121, metrics={"users": 99.0})
    (planned,) = story.wait(at(121))
    assert planned.values["users"] == 99.0
    assert planned.values["before_users"] == 10.0
    assert planned.values["before_date"] == at(30).date().isoformat()


@pytest.mark.parametrize(("later", "said"), [(1, 1.0), (2, 0.0), (3, None)])
def test_a_day_that_has_passed_is_not_to_come_in_less_than_no_days(later: float, said: float | None):
    story = Story(book(play())._replace(counting=Counting(down=frozenset({"days_to_renewal"}))))
    story.person()
    story.signal("other", metrics={"days_to_renewal": 2})
    values = template_values(story.account, "ann", None, at(later), story.book.counting)
    assert values.get("days_to_renewal") == said
    assert values["day_of_days_to_renewal"] == at(2).date().isoformat()


def test_a_name_that_is_a_trick_is_not_greeted():
    story = Story(book(play()))
    story.person(name="http://evil.test/win now")
    story.signal()
    assert story.wait(at(0))[0].values["first_name"] == "there"


def test_what_a_customer_chose_brings_no_link_into_a_message():
    story = Story(book(play(request=True)))
    story.person(name="Ann free-money.example")
    traits = {"name": "Free money at http://free-money.example", "csm": "Kim\u202e", "page": "evil.test/x", "seats": 5}
    story.signal("tick", traits=traits, metrics={"latest": "see evil.test/x", "users": 3.0})
    story.request("hello", values={"question": "Do you like Monday.com?", "name": "Ann free-money.example"})
    (planned,) = story.wait(at(0))
    told = {name: value for name, value in planned.values.items() if name not in {"today", "stage", "band", "score"}}
    assert told == {
        "account_name": "your company",
        "first_name": "there",
        "trait_csm": "Kim",
        "_csm": "Kim",
        "messages_sent": 0.0,
        "trait_seats": 5,
        "users": 3.0,
        "ask_question": "Do you like Monday.com?",
        "link": "https://x.test/s",
    }
