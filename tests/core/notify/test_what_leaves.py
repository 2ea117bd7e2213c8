"""What leaves: a message that was decided on is judged anew when it is about to, with all that has happened since."""

import pytest

from services.notify.core.account_view import values_when_leaving
from services.notify.core.delivery import Decision, Verdict
from services.notify.core.playbook import Play, Stop, Trigger
from services.notify.core.policy import CONFIRM_CHECKS, recheck
from services.notify.core.state import MAX_PLANNED_SENDS
from tests.core.notify.make import Story, at, book, play, step

HOUR = 1 / 24


def _decided(*plays: Play, when: float = 0, **more: object) -> tuple[Story, Decision]:
    """A story in which the first of the plays has decided on its one message."""
    story = Story(book(*plays))
    story.person()
    story.signal(plays[0].name, **more)
    story.wait(at(when))
    (decision,) = [one for one in story.planned if one.send]
    return story, decision


def _verdict(story: Story, decision: Decision, when: float = 2 * HOUR) -> Verdict:
    verdict = recheck(story.account, decision, at(when), story.book)
    if verdict.action == "skip":
        assert recheck(story.account, decision, at(when), story.book, CONFIRM_CHECKS) == verdict
    return verdict


def test_nothing_happened_and_it_leaves() -> None:
    story, decision = _decided(play(stop=[Stop(fact="invoice_paid"), Stop(stage="left")], stages=["adoption"]))
    assert _verdict(story, decision).action == "send"


@pytest.mark.parametrize(
    ("stop", "event"),
    [
        (Stop(fact="invoice_paid"), lambda story: story.fact("invoice_paid", HOUR)),
        (Stop(signal="fixed"), lambda story: story.signal("fixed", HOUR)),
        (Stop(flag_cleared="at_risk"), lambda story: story.flag("at_risk", raised=False, when=HOUR)),
        (Stop(milestone="first_value"), lambda story: story.milestone("first_value", HOUR)),
        (Stop(stage="left"), lambda story: story.stage("churned", HOUR)),
        (Stop(when="unpaid == 0"), lambda story: story.signal("other", HOUR, metrics={"unpaid": 0})),
    ],
)
def test_what_ends_a_play_also_ends_its_message_that_has_not_left(stop: Stop, event: object) -> None:
    story = Story(book(play(stop=[stop], stages=["adoption"])))
    story.person()
    story.flag("at_risk", raised=True)
    story.signal(flags=["at_risk"])
    story.wait(at(0))
    (decision,) = [one for one in story.planned if one.send]
    event(story)  # type: ignore[operator]
    verdict = _verdict(story, decision)
    assert (verdict.action, verdict.reason) == ("skip", "stopped")
    assert verdict.detail == repr(stop)


def test_a_stop_that_held_for_a_moment_is_not_forgotten() -> None:
    story, decision = _decided(play(stop=[Stop(when="unpaid == 0")]), metrics={"unpaid": 2})
    story.signal("other", HOUR, metrics={"unpaid": 0})
    story.signal("other", 1.5 * HOUR, metrics={"unpaid": 1})
    assert _verdict(story, decision).reason == "stopped"


def test_what_ended_an_earlier_run_says_nothing_of_a_later_one() -> None:
    dunning = play(stop=[Stop(fact="invoice_paid")], class_="transactional")
    story, first = _decided(dunning)
    story.fact("invoice_paid", HOUR)
    story.signal(when=1)
    story.wait(at(1))
    second = story.planned[-1]
    assert _verdict(story, first, 1.1).reason == "stopped"
    assert _verdict(story, second, 1.1).action == "send"


def test_a_stop_of_the_message_before_which_it_fell_due_counts() -> None:
    """The step fires while the message is read, with the account as it stood before: the message then ends the play."""
    story = Story(book(play(stop=[Stop(fact="invoice_paid")])))
    story.person()
    story.signal()
    story.fact("invoice_paid", HOUR)
    (decision,) = [one for one in story.planned if one.send]
    assert _verdict(story, decision).reason == "stopped"


def test_a_condition_that_does_not_hold_any_more_keeps_it_back() -> None:
    story, decision = _decided(play(unless=["at_risk"], steps=[step(when=["seats >= 1"])]), metrics={"seats": 3})
    story.flag("at_risk", raised=True, when=HOUR, metrics={"seats": 3})
    assert _verdict(story, decision)[:3] == ("skip", "guard", "at_risk (at_risk = True)")
    story.flag("at_risk", raised=False, when=1.1 * HOUR)
    assert _verdict(story, decision).detail == "seats >= 1 (seats = unknown)"


def test_an_account_that_left_the_stages_of_its_play_is_not_written_to() -> None:
    story, decision = _decided(play(stages=["adoption"]))
    story.stage("churned", HOUR)
    assert _verdict(story, decision)[:3] == ("skip", "other_stage", "churned")


def test_what_was_written_for_a_stage_or_a_flag_does_not_outlast_it() -> None:
    free = "transactional"
    flagged = play("flagged", Trigger(flag="stalled"), class_=free)
    story = Story(book(flagged, play("staged", Trigger(stage="adoption"), class_=free)))
    story.person()
    story.stage("adoption")
    story.flag("stalled", raised=True)
    story.wait(at(0))
    first, second = sorted(story.planned, key=lambda one: one.play)
    story.stage("churned", HOUR)
    assert recheck(story.account, first, at(2 * HOUR), story.book)[1:3] == ("stopped", "flag_cleared stalled")
    assert recheck(story.account, second, at(2 * HOUR), story.book)[1:3] == ("other_stage", "churned")


def test_a_play_that_may_outlast_its_stages_goes_on() -> None:
    """Without `stop: stage left` its later steps are meant for whatever stage comes then."""
    story = Story(book(play(stages=["adoption"], steps=[step(after=3)])))
    story.person()
    story.signal()
    story.stage("expansion", 1)
    story.wait(at(3))
    (decision,) = story.planned
    story.stage("retention", 3 + HOUR)
    assert _verdict(story, decision, 3.1).action == "send"


def test_an_account_that_is_held_out_meanwhile_is_not_written_to() -> None:
    story, decision = _decided(play())
    story.book = book(play(holdout=0.999999))
    assert recheck(story.account, decision, at(HOUR), story.book).reason == "holdout"


def test_what_is_said_is_true_when_it_leaves() -> None:
    survey = play(request=True, class_="survey")
    story = Story(book(survey))
    story.person()
    story.signal("other", metrics={"seats": 3, "users": 2})
    story.request("hello", values={"reward": "100 EUR"})
    story.wait(at(0))
    (decision,) = [one for one in story.planned if one.send]
    assert (decision.values["seats"], decision.values["users"], decision.values["first_name"]) == (3, 2, "Ann")
    story.signal("other", HOUR, metrics={"seats": 4})
    story.person(name="Anna Lee", when=HOUR)
    values = values_when_leaving(story.account, "ann", decision.values, at(2), to_customer=True)
    assert (values["seats"], values["first_name"], values["today"]) == (4, "Anna", "2025-03-05")
    assert "users" not in values, "it was known then, and is not now"
    assert (values["link"], values["ask_reward"]) == ("https://x.test/s", "100 EUR")


def test_what_has_expired_is_not_remembered_for_ever() -> None:
    story = Story(book(play(class_="transactional", steps=[step(expires=2)], on=Trigger(signal="hello"))))
    story.person()
    for day in range(30):
        story.signal(when=day)
        story.wait(at(day))
    assert len([one for one in story.planned if one.send]) == 30
    assert len(story.account.planned_sends) <= 4 < MAX_PLANNED_SENDS
