"""One cause, one play: of plays that answer the same thing one does."""

from pathlib import Path

import pytest

from services.notify.channels.table import CHANNELS
from services.notify.core.playbook import Play, Playbook
from services.notify.definition import lifecycle_names, load_plays
from tests.core.notify.make import Story, at, book, play, sent, step

CONFIG = Path(__file__).parents[3] / "config"
TWO = (step(0, "task", "call"), step(4, template="mail"))


def cause(name: str, precedence: int = 0, causes: tuple[str, ...] = ("silence",)) -> Play:
    return play(name, steps=TWO, causes=causes, precedence=precedence)


@pytest.fixture
def shipped() -> Playbook:
    return load_plays(CONFIG, CHANNELS.traits, lifecycle_names(CONFIG / "lifecycle.yaml")).playbook


def of(story: Story) -> list[tuple[str, str, float]]:
    return [(each.play, each.step, (each.at - at(0)).total_seconds() / 86400) for each in story.planned if each.send]


def test_a_play_that_is_at_work_keeps_another_of_its_cause_from_starting():
    story = Story(book(cause("drop"), cause("quiet")))
    story.person()
    story.signal("drop")
    skipped = story.signal("quiet", when=1)[-1]
    assert (skipped.reason, skipped.detail) == ("same_cause", "drop")
    story.signal("quiet", when=17)
    story.signal("quiet", when=19)
    story.wait(at(40))
    assert of(story) == [("drop", "call", 0), ("drop", "mail", 4), ("quiet", "call", 19), ("quiet", "mail", 23)]


def test_a_play_of_another_cause_starts_beside_it():
    story = Story(book(cause("drop"), cause("bill", causes=("money",))))
    story.person()
    story.signal("drop")
    story.signal("bill", when=1)
    story.wait(at(3))
    assert of(story) == [("drop", "call", 0), ("bill", "call", 1)]


def test_the_stronger_takes_over_at_the_same_moment_before_the_other_did_anything():
    story = Story(book(cause("drop"), cause("quiet", 1)))
    story.person()
    story.signal("drop")
    ended = story.signal("quiet")
    assert [(each.play, each.reason, each.detail) for each in ended] == [("drop", "same_cause", "quiet")] * 2
    story.wait(at(10))
    assert of(story) == [("quiet", "call", 0), ("quiet", "mail", 4)]


def test_the_stronger_begins_after_a_rest_from_what_the_other_did():
    story = Story(book(cause("drop"), cause("quiet", 1)))
    story.person()
    story.signal("drop")
    story.signal("quiet", when=2)
    story.wait(at(30))
    assert of(story) == [("drop", "call", 0), ("quiet", "call", 14), ("quiet", "mail", 18)]


def test_what_the_other_decided_on_and_has_not_left_stays_here():
    story = Story(book(cause("drop"), cause("quiet", 1)))
    story.person()
    story.signal("drop")
    story.wait(at(4))
    mail = story.planned[-1]
    story.signal("quiet", when=4.1)
    assert story.account.stopped(mail.id) == "same cause: quiet"


def silent(days: float) -> dict[str, object]:
    return {"stage": "retention", "metrics": {"days_since_core_use": days, "core_trend": -0.5}}


def test_one_silence_is_answered_by_one_play(shipped: Playbook):
    """As lifecycle tells it: at risk and gone quiet at one midnight, the drop five days later."""
    story = Story(shipped)
    story.person("ann", role="admin")
    story.flag("at_risk", raised=True, **silent(14.0))
    story.signal("gone_quiet", **silent(14.0))
    story.signal("usage_drop", when=5, **silent(19.0))
    story.signal("low_utilisation", when=16, **silent(30.0) | {"stage": "adoption"})
    story.wait(at(60))
    assert {each.play for each in story.planned if each.send} == {"gone_quiet"}
    assert {each.detail for each in story.planned if each.reason == "same_cause"} == {"gone_quiet"}


def test_who_left_is_answered_by_the_play_for_that_and_not_by_the_one_for_any_risk(shipped: Playbook):
    story = Story(shipped)
    story.person("ann", role="admin")
    story.flag("at_risk", raised=True, stage="retention", metrics={"champions_missing": 1.0})
    story.signal("champion_left", stage="retention", metrics={"champions_missing": 1.0})
    story.wait(at(30))
    assert {play for play, _, _ in of(story)} == {"champion_left"}


def test_no_play_without_a_cause_is_kept_from_starting():
    story = Story(book(play("a"), play("b")))
    story.person()
    story.signal("a")
    story.signal("b")
    assert len(sent(story.wait(at(2)))) == 2
