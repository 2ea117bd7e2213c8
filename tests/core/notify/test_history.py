"""Replayed history: decisions show what would have gone out, and none of it can be sent."""

from services.notify.core.engine import next_due
from services.notify.core.playbook import Trigger
from tests.core.notify.make import Story, at, book, play, sent, step

SERIES = play("welcome", Trigger(stage="onboarding"), [step(0, template="one"), step(2, template="two")])


def test_what_is_planned_from_history_is_marked_and_the_wall_clock_waits():
    story = Story(book(SERIES))
    story.person(history=True)
    story.stage("onboarding", history=True)
    assert story.wait(at(400)) == []
    assert next_due(story.account) is None
    story.signal("other", when=1, history=True)
    assert [(planned.step, planned.history) for planned in story.planned] == [("one", True)]


def test_when_history_ends_live_the_next_step_is_real():
    story = Story(book(SERIES))
    story.person(history=True)
    story.stage("onboarding", history=True)
    story.clock(1, live=True)
    story.wait(at(3))
    assert [(planned.step, planned.history) for planned in story.planned] == [("one", True), ("two", False)]


def test_when_history_ends_otherwise_the_account_stays_held():
    story = Story(book(SERIES))
    story.stage("onboarding", history=True)
    story.clock(1, live=False)
    assert story.account.replaying
    assert next_due(story.account) is None


def test_imagined_messages_cost_no_budget_once_the_account_is_live():
    story = Story(book(play("a"), play("b")))
    story.person(history=True)
    story.signal("a", history=True)
    story.clock(0.1, live=True)
    story.signal("b", when=0.2)
    assert sent(story.wait(at(0.2))) == [("hello", "ann")]


def test_a_live_request_neither_moves_the_clock_of_a_held_account_nor_ends_its_hold():
    story = Story(book(SERIES, play("nps", request=True)))
    story.person(history=True)
    story.stage("onboarding", history=True)
    story.request("nps", when=300)
    assert story.account.clock == at(0)
    story.clock(1, live=True)
    assert sent(story.planned) == [("one", "ann")]


def test_a_request_from_history_is_never_sent_even_when_it_comes_late():
    story = Story(book(play("nps", request=True)))
    story.person()
    story.request("nps", history=True)
    assert [planned.history for planned in story.wait(at(1))] == [True]
