"""History gives the same plans however its two topics are read: in any order that their own order allows, in any batches."""

import os
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.advocacy.core import account as advocacy
from services.advocacy.core import reducer
from services.advocacy.core.decisions import Invitation
from services.advocacy.core.invitations import outreach_request
from services.notify.core.account_view import Message
from services.notify.core.delivery import Decision
from services.notify.core.engine import advance, apply, next_due
from services.notify.core.order import EMPTY, Line, Ordered, Turns, loaded_until
from services.notify.core.playbook import Trigger
from services.notify.core.state import Account
from services.notify.store import LAYOUTS
from shared.contracts.advocacy import HistoryFollowed, OutreachRequested
from shared.contracts.lifecycle import LifecycleMessage
from tests.core.advocacy.make import SHIPPED, Story, day
from tests.core.advocacy.test_history import STREAMS
from tests.core.notify.make import NIGHT, book, budget, play, step

CASES = int(os.environ.get("ORDERS", "150"))
"""5,000 in `make verify`."""
NOW = day(3000)
BOOK = book(
    play("nps_invite", request=True, class_="survey", topic="nps", steps=[step(0, expires=10)]),
    play("csat_invite", request=True, class_="survey", topic="csat", steps=[step(0, expires=10)]),
    play("referral_invite", request=True, class_="advocacy", steps=[step(0, expires=20)]),
    play(
        "welcome", Trigger(stage="onboarding"), [step(0, template="a"), step(3, template="b"), step(40, template="c")]
    ),
    play("save", Trigger(signal="usage_drop"), [step(0), step(9, "task", "t")], class_="risk"),
    play("renew", Trigger(signal="renewal_120"), [step(1), step(30, template="again")], class_="renewal"),
    budget=budget(quiet=NIGHT),
)
Choices = st.lists(st.booleans(), max_size=120)


def told(stream: list, *, history: bool = True) -> list[LifecycleMessage]:
    """What lifecycle says: these words, then the wall clock takes over."""
    story, now = Story(history=history).stage(0, "onboarding").contact(0, "ann").contact(0.5, "bob"), 10.0
    for step_, (verb, *rest) in stream:
        now += step_ * 3
        score = {"score": float(len(story.messages) % 3 + 8)} if verb == "fact" else {}
        getattr(story, verb)(now, *rest, **score)
    story.clock(now + 30, live=True)
    return [*story.messages[:-1], msgspec.structs.replace(story.messages[-1], history=False)]


def answered(messages: list[LifecycleMessage], cuts: list[bool]) -> list[OutreachRequested | HistoryFollowed]:
    """What advocacy says when it reads these in batches: it ends one where a cut is, and behind the last."""
    account, said, followed = advocacy.Account(id="acme"), list[OutreachRequested | HistoryFollowed](), None
    for number, message in enumerate(messages):
        before = account
        account, decisions = reducer.apply(account, message, SHIPPED)
        asked = [one for one in decisions if isinstance(one, Invitation)]
        said += [outreach_request(one, "https://x.test/s", NOW) for one in asked]
        followed = account if reducer.is_followed(before, message, account) else followed
        if followed and (number + 1 == len(messages) or (number < len(cuts) and cuts[number])):
            said.append(reducer.history_followed(followed, NOW))
            followed = None
    return said


class Desk:
    """An account of notify, stored after each message; of what waits for it only what must be there is at hand."""

    def __init__(self) -> None:
        self.account = Account("acme")
        self.line = EMPTY
        self.planned: list[Decision] = []

    def take(self, message: Ordered) -> None:
        until = loaded_until(self.account, message)
        line = self.line
        at_hand = Line(
            tuple(one for one in line.messages if one.seq <= until),
            tuple(one for one in line.requests if one.behind <= until),
        )
        self.account, left, planned = Turns(BOOK).take(self.account, at_hand, message)
        messages = (*left.messages, *(one for one in line.messages if one.seq > until))
        requests = (*left.requests, *(one for one in line.requests if one.behind > until))
        place = {request_id: number for number, request_id in enumerate(self.account.waiting_requests)}
        self.line = Line(
            tuple(sorted(messages, key=lambda one: one.seq)), tuple(sorted(requests, key=lambda one: place[one.id]))
        )
        self.planned += planned
        self.account = LAYOUTS.decode(LAYOUTS.encode(self.account))


def by_cause(messages: list[LifecycleMessage], requests: list[Any]) -> tuple[Account, list[Decision]]:
    """Each message, then the requests behind it."""
    account, planned = Account("acme"), list[Decision]()
    ordered: list[Message] = []
    for message in messages:
        ordered += [message, *(one for one in requests if one.behind == message.seq)]
    for one in ordered:
        account, decided = apply(account, one, BOOK)
        planned += decided
    account, decided = advance(account, NOW, BOOK)
    return account, [*planned, *decided]


def merged(one: list[Any], two: list[Any], choices: list[bool]) -> list[Any]:
    """Both, each in its own order."""
    first, second = list(one), list(two)
    found = [(first if choice else second).pop(0) for choice in choices if first and second]
    return [*found, *first, *second] if choices and choices[-1] else [*found, *second, *first]


@settings(max_examples=CASES, deadline=None)
@given(STREAMS, Choices, Choices, st.booleans())
def test_the_order_in_which_two_topics_are_read_decides_nothing_in_a_history(
    stream: list, cuts: list[bool], choices: list[bool], again: bool
):
    messages = told(stream)
    said = answered(messages, cuts)
    requests = [one for one in said if isinstance(one, OutreachRequested)]
    desk, (account, planned) = Desk(), by_cause(messages, requests)
    for message in merged(messages, said, choices):
        desk.take(message)
    if again and len(requests) < 60:
        for message in merged(messages, said, choices):
            desk.take(message)
    desk.account, decided = advance(desk.account, NOW, BOOK)
    assert desk.line == EMPTY
    assert msgspec.to_builtins([*desk.planned, *decided]) == msgspec.to_builtins(planned)
    followed = msgspec.structs.replace(desk.account, advocacy_seq=0)
    assert followed == account


@settings(max_examples=CASES, deadline=None)
@given(STREAMS, Choices)
def test_live_no_request_is_taken_before_the_message_it_stands_behind(stream: list, choices: list[bool]):
    messages = told(stream, history=False)
    said = answered(messages, [])
    desk = Desk()
    for message in merged(messages, [one for one in said if isinstance(one, OutreachRequested)], choices):
        desk.take(message)
        early = [one for one in said if isinstance(one, OutreachRequested) and one.behind > desk.account.seq]
        assert not {one.id for one in early} & {*desk.account.request_ids}
    assert desk.line == EMPTY


def a_past() -> tuple[list[LifecycleMessage], list[Any]]:
    messages = told([(40, ("stage", "adoption")), (20, ("signal", "usage_drop"))])
    return messages, answered(messages, [True] * len(messages))


def a_request() -> OutreachRequested:
    return next(one for one in a_past()[1] if isinstance(one, OutreachRequested))


def test_a_history_waits_for_advocacy_and_no_timer_runs_ahead_of_it():
    messages, said = a_past()
    desk = Desk()
    for message in messages:
        desk.take(message)
    assert desk.planned == []
    assert (desk.account.seq, desk.account.heard_seq, desk.account.waits) == (0, len(messages), True)
    assert next_due(desk.account) is None
    assert advance(desk.account, NOW, BOOK) == (desk.account, [])
    for one in said:
        desk.take(one)
    assert any(one.play == "nps_invite" and one.send for one in desk.planned)
    assert not desk.account.replaying


def test_a_request_that_came_early_is_decided_at_its_own_time():
    messages, said = a_past()
    desk = Desk()
    for message in [*said, *messages]:
        desk.take(message)
    asked = next(one for one in said if isinstance(one, OutreachRequested) and one.play == "nps_invite")
    decided = next(one for one in desk.planned if one.occurrence == asked.id)
    assert (decided.send, decided.history) == (True, True)
    assert decided.at - asked.at < timedelta(days=3)


def test_where_nobody_waits_any_more_everything_is_taken_in_its_order():
    messages, said = a_past()
    requests = [one for one in said if isinstance(one, OutreachRequested)]
    desk = Desk()
    for message in [*messages, *requests]:
        desk.take(message)
    assert desk.account.seq == 0
    account, line, planned = Turns(BOOK, paced=False).take_all(desk.account, desk.line)
    assert (account.seq, account.waits, line) == (len(messages), False, EMPTY)
    assert msgspec.to_builtins([*planned, *advance(account, NOW, BOOK)[1]]) == msgspec.to_builtins(
        by_cause(messages, requests)[1]
    )


def test_a_request_whose_message_never_comes_is_taken_at_last():
    request = a_request()
    desk = Desk()
    desk.take(request)
    assert desk.account.waiting_requests == [request.id]
    account, line, _ = Turns(BOOK, paced=False).take_all(desk.account, desk.line)
    assert (account.waiting_requests, account.request_ids, line) == ([], [request.id], EMPTY)


@pytest.mark.parametrize("behind", [0, 2])
def test_a_request_of_an_earlier_version_names_no_message_and_waits_for_none(behind: int):
    request = msgspec.structs.replace(a_request(), behind=behind)
    desk = Desk()
    desk.take(request)
    assert desk.account.waits == (behind > 0)
