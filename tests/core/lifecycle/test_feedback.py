"""Feedback moves no clock, waits for its place, and when it arrived does not matter."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.feedback import MOST_KEPT, SETTLED_AFTER, keep, settles_at, wakes_at
from services.lifecycle.core.fold import advance, fold
from services.lifecycle.core.state import begin
from services.lifecycle.layouts import LAYOUTS
from shared.contracts.lifecycle import LifecycleMessage, MilestoneReached, SignalRaised
from shared.contracts.usage import HISTORY_ENDED, UsageEvent
from tests.core.lifecycle.make import START, Scenario, definition_from, event

DAY = timedelta(days=1)
NOW = START + 40 * DAY + timedelta(hours=9)
"""The wall clock, when everything is told."""
DEFINITION = """
events:
  use: {match: [used]}
  referral: {match: [referral_converted]}
metrics:
  uses_7d: {kind: count, of: use, days: 7}
  days_since_use: {kind: days_since, of: use}
  referrals_28d: {kind: count, of: referral, days: 28}
milestones:
  first_referral: {of: referral}
  three_referrals: {when: [referrals_28d >= 3]}
stages: {trial: {}, fan: {}}
edges:
  - {from: trial, to: fan, when: [referrals_28d >= 2], reason: "{referrals_28d} referrals"}
  - {from: fan, to: trial, when: [referrals_28d <= 1], reason: "{referrals_28d} referrals"}
flags:
  at_risk: {raise_when: [days_since_use >= 5], clear_when: [days_since_use <= 1], reason: "{days_since_use} days"}
signals:
  referred: {when: [referrals_28d >= 1], cooldown: 3d, reason: "{referrals_28d} referrals"}
facts: [referral]
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> CompiledDefinition:
    return definition_from(tmp_path_factory.mktemp("definition"), DEFINITION)


def uses(hours: Sequence[int], *, history: str | None = None) -> list[UsageEvent]:
    times = sorted(START + timedelta(hours=hour) for hour in hours)
    return [event("used", at, n, user="ann", history=history) for n, at in enumerate(times)]


def said(hour: float, number: int = 0, *, history: bool = False, at: datetime | None = None) -> UsageEvent:
    """A conversion. Its time is that of another account's payment."""
    when = at or START + timedelta(hours=hour)
    told = "history" if history else None
    return event("referral_converted", when, id=f"said{number}", received_at=NOW, source="waymark", history=told)


def ended(at: datetime, *, live: bool) -> UsageEvent:
    return event(HISTORY_ENDED, at, id="ended", history="import", properties={"live": live})


class Outcome(NamedTuple):
    state: bytes
    messages: list[LifecycleMessage]


def told(
    events: Sequence[UsageEvent],
    feedback: Sequence[tuple[int, UsageEvent]],
    compiled: CompiledDefinition,
    steps: int = 1,
) -> Outcome:
    """Events in order, each feedback before the event of its number, then the wall clock in so many steps."""
    account, messages = begin("acme", events[0].at), list[LifecycleMessage]()
    for number, one in enumerate(events):
        for place, of in feedback:
            if place == number:
                keep(account, of)
        messages += fold(account, one, compiled, NOW)
        assert account.clock == max(each.at for each in events[: number + 1]), "nothing but events moves it"
    for place, of in feedback:
        if place >= len(events):
            keep(account, of)
    since, until = account.clock, NOW + SETTLED_AFTER + DAY
    for step in range(1, steps + 1):
        messages += advance(account, since + (until - since) * (step / steps), compiled, NOW)
    return Outcome(LAYOUTS.encode(account), messages)


HOURS = st.lists(st.integers(0, 30 * 24), min_size=3, max_size=25, unique=True)
PLACES = st.lists(st.tuples(st.integers(1, 30), st.integers(-10 * 24, 31 * 24)), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(hours=HOURS, said_at=PLACES, data=st.data(), live=st.booleans())
def test_what_is_said_of_history_is_taken_when_it_is_over_wherever_it_arrived(
    compiled: CompiledDefinition, hours: list[int], said_at: list[tuple[int, int]], data: st.DataObject, live: bool
):
    events = uses(hours, history="import")
    events.append(ended(events[-1].at, live=live))
    feedback = [said(hour, number, history=True) for number, (_, hour) in enumerate(said_at)]
    first = told(events, [(place, one) for (place, _), one in zip(said_at, feedback, strict=True)], compiled)
    places = st.lists(st.integers(1, len(events) + 1), min_size=len(feedback), max_size=len(feedback))
    arrived = list(zip(data.draw(places), feedback, strict=True))
    assert told(events, data.draw(st.permutations(arrived)), compiled) == first
    assert [one.name for one in events[:-1]] == ["used"] * len(hours)
    marker = next(n for n, one in enumerate(first.messages) if type(one).__name__ == "ClockAdvanced")
    assert all(not isinstance(one, SignalRaised) for one in first.messages[:marker]), "not before the history is over"


@settings(max_examples=150, deadline=None)
@given(hours=HOURS, said_at=PLACES, data=st.data(), steps=st.integers(1, 5))
def test_live_feedback_that_arrives_before_its_place_is_taken_at_its_place(
    compiled: CompiledDefinition, hours: list[int], said_at: list[tuple[int, int]], data: st.DataObject, steps: int
):
    events = uses(hours)
    feedback = [said(max(hour, min(hours)) + (number + 1) / 60, number) for number, (_, hour) in enumerate(said_at)]
    due = [next((n for n, one in enumerate(events) if one.at >= of.at), len(events)) for of in feedback]
    at_the_last_moment = told(events, list(zip(due, feedback, strict=True)), compiled)
    earlier = [(data.draw(st.integers(1, max(1, place))), of) for place, of in zip(due, feedback, strict=True)]
    assert told(events, data.draw(st.permutations(earlier)), compiled, steps) == at_the_last_moment


def test_a_conversion_dated_ahead_fires_no_midnights(compiled: CompiledDefinition):
    scenario = Scenario(compiled)
    scenario.track(0, "used")
    keep(scenario.here, said(20 * 24))
    scenario.use(range(1, 20), name="used")
    assert scenario.all(SignalRaised) == []
    assert [one.account for one in scenario.decisions if type(one).__name__ == "FlagChanged"] == []
    scenario.track(21, "used")
    assert scenario.all(MilestoneReached)[0].reached_at == START + 20 * DAY
    assert scenario.all(MilestoneReached)[0].at == START + 20 * DAY, (
        "decided at its place, before the use that came next"
    )


def test_a_sleeping_account_is_woken_for_it(compiled: CompiledDefinition):
    scenario = Scenario(compiled)
    scenario.track(0, "used")
    keep(scenario.here, said(14))
    assert wakes_at(scenario.here) == START + timedelta(hours=14)
    scenario.until(14 / 24)
    assert scenario.here.clock == START + timedelta(hours=14)
    assert wakes_at(scenario.here) == scenario.here.next_due == START + DAY
    assert len(scenario.all(SignalRaised, signal="referred")) == 1


def test_what_happened_before_the_clock_is_due_at_once_and_moves_it_nowhere(compiled: CompiledDefinition):
    scenario = Scenario(compiled)
    scenario.track(3, "used")
    clock = scenario.here.clock
    keep(scenario.here, said(24))
    assert wakes_at(scenario.here) == START + DAY
    scenario.until(3.6)
    assert scenario.here.clock == clock
    assert scenario.here.first_seen == clock, "an account begins with what it did"
    assert scenario.metric("referrals_28d") == 1


def test_feedback_of_history_holds_nobody(compiled: CompiledDefinition):
    scenario = Scenario(compiled)
    scenario.track(0, "used")
    keep(scenario.here, said(5, history=True))
    scenario.track(1, "used")
    assert not scenario.here.replaying
    assert wakes_at(scenario.here) == START + 2 * DAY, "midnight comes first"
    assert settles_at(scenario.here) == NOW + SETTLED_AFTER


def test_an_account_that_history_holds_has_nothing_due_until_its_end(compiled: CompiledDefinition):
    account = begin("acme", START)
    for one in uses([1, 5], history="import"):
        fold(account, one, compiled, NOW)
    keep(account, said(3, history=True))
    assert wakes_at(account) is None
    fold(account, ended(START + DAY, live=False), compiled, NOW)
    assert wakes_at(account) == NOW + SETTLED_AFTER
    messages = advance(account, NOW + SETTLED_AFTER, compiled, NOW)
    assert account.clock == START + DAY, "the wall clock drives nobody whom history holds"
    assert wakes_at(account) is None
    assert messages
    assert {one.at for one in messages} == {START + DAY}
    assert all(one.history for one in messages)


def test_more_history_holds_it_again(compiled: CompiledDefinition):
    account = begin("acme", START)
    fold(account, uses([1], history="import")[0], compiled, NOW)
    fold(account, ended(START + DAY, live=False), compiled, NOW)
    fold(account, uses([50], history="more")[0], compiled, NOW)
    keep(account, said(3, history=True))
    assert wakes_at(account) is None


def test_live_answers_of_one_moment_are_taken_as_they_were_given(compiled: CompiledDefinition):
    scenario = Scenario(compiled)
    scenario.track(0, "used")
    for number in (7, 3, 5):
        keep(scenario.here, said(20, number))
    assert [one.id for one in scenario.here.waiting] == ["said7", "said3", "said5"]


def test_what_is_said_twice_is_kept_once_and_not_without_end(compiled: CompiledDefinition):
    account = begin("acme", START)
    fold(account, uses([1], history="import")[0], compiled, NOW)
    for number in range(MOST_KEPT + 5):
        keep(account, said(number, number))
        keep(account, said(number, number))
    assert len(account.unsettled) == MOST_KEPT
    assert account.unsettled[-1].id == f"said{MOST_KEPT + 4}"
