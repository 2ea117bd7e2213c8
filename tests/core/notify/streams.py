"""Any stream of messages for one account, as hypothesis draws it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from services.notify.core.playbook import Audience, Stop, Trigger
from tests.core.notify.make import NIGHT, Story, book, budget, play, step

PLAYS = (
    play("welcome", Trigger(stage="onboarding"), [step(0, template="a"), step(1, template="b"), step(3, template="c")]),
    play("save", Trigger(flag="at_risk"), [step(0, "task", "t"), step(0.5, template="m")], class_="risk"),
    play("value", Trigger(signal="value"), class_="value", audience=Audience(["champion", "any"], 3)),
    play("offer", Trigger(signal="offer"), class_="expansion", unless=["at_risk"], cooldown=timedelta(days=3)),
    play("favour", Trigger(signal="favour"), class_="advocacy", steps=[step(1, expires=40)]),
    play("bill", Trigger(signal="bill"), [step(0), step(1, template="again")], class_="transactional"),
    play(
        "tip",
        Trigger(signal="tip"),
        [step(0, "webhook", "hint"), step(2)],
        stop=[Stop(flag_cleared="at_risk"), Stop(signal="end")],
    ),
    play("nps", request=True, class_="survey", topic="nps", steps=[step(0, expires=10)]),
    play("csat", request=True, class_="survey", topic="csat", steps=[step(0, expires=30)]),
)
LOUD = book(*PLAYS)
QUIET = book(*PLAYS, budget=budget(quiet=NIGHT))

USERS = ("ann", "bob", "cleo")
SIGNALS = ("value", "offer", "favour", "bill", "tip", "end")
HISTORY_ENDS = 10


@dataclass(frozen=True)
class Event:
    """One message to come, so long after the one before."""

    kind: str
    word: str
    user: str
    gap: float
    yes: bool


events = st.builds(
    Event,
    kind=st.sampled_from(["person", "stage", "signal", "signal", "signal", "flag", "request", "request"]),
    word=st.sampled_from(SIGNALS),
    user=st.sampled_from(USERS),
    gap=st.sampled_from([0.0, 0.01, 0.4, 1.0, 2.5, 8.0]),
    yes=st.booleans(),
)
streams = st.lists(events, max_size=40)


def tell(story: Story, event: Event, when: float, **more: Any) -> None:
    """Tell one of them."""
    urgent = {"metrics": {"open_urgent_tickets": float(event.yes)}}
    match event.kind:
        case "person":
            zone = "Asia/Tokyo" if event.user == "bob" else None
            story.person(event.user, when, timezone=zone, gone=event.yes and event.user == "cleo", **more)
        case "stage":
            story.stage("onboarding" if event.yes else "adoption", when, **more)
        case "signal":
            story.signal(event.word, when, **urgent, **more)
        case "flag":
            story.flag("at_risk", event.yes, when, **more)
        case "request":
            story.request("nps" if event.yes else "csat", event.user, when, **more)


def whole(story: Story, stream: list[Event]) -> float:
    """Tell all of them; the day of the last."""
    when = 0.0
    for event in stream:
        when += event.gap
        tell(story, event, when)
    return when
