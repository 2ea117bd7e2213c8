"""Properties of every history, however it is cut, delayed or repeated."""

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.lifecycle.accounts import listed_columns, outline
from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.evaluation import EVERYTHING, Evaluation
from services.lifecycle.core.explain import snapshot_of
from services.lifecycle.core.fold import advance, fold, fold_next
from services.lifecycle.core.rules import AffectedRules
from services.lifecycle.core.state import Account, begin
from services.lifecycle.layouts import LAYOUTS
from shared.contracts.lifecycle import LifecycleMessage, MilestoneReached
from shared.contracts.usage import UsageEvent
from tests.core.lifecycle.make import DECIDED, START, default_definition, event

DEFINITION, TWIN = default_definition(), default_definition()
FEW = settings(max_examples=60, deadline=None)

NAMES = [
    *["feature_used:report"] * 6,
    "feature_used:export",
    "value_delivered",
    "subscription_started",
    "subscription_cancelled",
    "ticket_opened",
    "ticket_closed",
    "nps_answered",
    "invoice_failed",
    "invoice_paid",
    "user_invited",
    "champion_left",
    "gated_feature_attempted",
    "never heard of",
]


class Step(NamedTuple):
    """One event: how long after the one before, what, who, with which properties."""

    hours: int
    name: str
    user: str | None
    number: int


STEPS = st.lists(
    st.builds(
        Step,
        hours=st.one_of(st.integers(0, 30), st.sampled_from([24, 24 * 9, 24 * 40])),
        name=st.sampled_from(NAMES),
        user=st.sampled_from(["ann", "bob", None]),
        number=st.integers(0, 10),
    ),
    min_size=1,
    max_size=60,
)


def history(steps: list[Step]) -> list[UsageEvent]:
    """Events in order, no two at the same instant, some of them exactly at midnight."""
    at, events = START, []
    for index, step in enumerate(steps):
        at += timedelta(hours=step.hours)
        if events and at <= events[-1].at:
            at = events[-1].at + timedelta(seconds=1)
        told = {"score": step.number, "ticket_id": step.number % 3, "invoice_id": step.number % 2, "count": step.number}
        told |= {"seats": 4, "priority": "urgent" if step.number > 8 else "low", "renewal_at": "2026-09-01"}
        events.append(event(step.name, at, index, user=step.user, properties=told))
    return events


def folded(
    events: list[UsageEvent], compiled: CompiledDefinition = DEFINITION
) -> tuple[Account, list[LifecycleMessage]]:
    account = begin("acme", events[0].at)
    return account, [one for each in events for one in fold(account, each, compiled, DECIDED)]


@FEW
@given(steps=STEPS, cuts=st.sets(st.integers(0, 60)))
def test_storing_the_account_between_batches_changes_nothing(steps: list[Step], cuts: set[int]):
    events = history(steps)
    whole, told = folded(events)
    account, again = begin("acme", events[0].at), []
    for index, each in enumerate(events):
        if index in cuts:
            account = LAYOUTS.decode(LAYOUTS.encode(account))
        again += fold(account, each, DEFINITION, DECIDED)
    assert again == told
    assert LAYOUTS.encode(account) == LAYOUTS.encode(whole)


@FEW
@given(steps=STEPS, late=st.sets(st.integers(0, 60)))
def test_an_evaluation_of_many_events_knows_what_one_of_each_would_read(steps: list[Step], late: set[int]):
    """Some events come after the one that follows them, and everything is read after each."""
    events = history(steps)
    for index in sorted(late & {*range(len(events) - 1)}):
        events[index], events[index + 1] = events[index + 1], events[index]
    account, again, metrics = begin("acme", events[0].at), [], DEFINITION.metrics
    evaluation = Evaluation(account, metrics, DECIDED)
    for each in events:
        again += fold_next(evaluation, each, DEFINITION)
        known, fresh = dict(evaluation), Evaluation(account, metrics, DECIDED)
        assert known == {name: fresh[name] for name in known}
        assert [evaluation[name] for name in metrics.reads] == [fresh[name] for name in metrics.reads]
    whole, told = folded(events)
    assert again == told
    assert LAYOUTS.encode(account) == LAYOUTS.encode(whole)


@FEW
@given(steps=STEPS, stops=st.lists(st.integers(1, 24 * 50), max_size=30))
def test_many_small_advances_equal_one_big_one(steps: list[Step], stops: list[int]):
    events = history(steps)
    big, _ = folded(events)
    small = LAYOUTS.decode(LAYOUTS.encode(big))
    end = big.clock + timedelta(hours=sum(stops))
    told, at = [], small.clock
    for stop in stops:
        at += timedelta(hours=stop)
        told += advance(small, at, DEFINITION, DECIDED)
    assert told == advance(big, end, DEFINITION, DECIDED)
    assert LAYOUTS.encode(small) == LAYOUTS.encode(big)


@FEW
@given(steps=STEPS)
def test_a_wall_clock_that_ticks_between_events_changes_nothing(steps: list[Step]):
    events = history(steps)
    whole, told = folded(events)
    account, again = begin("acme", events[0].at), []
    for each in events:
        while (due := account.next_due) and due <= each.at:
            again += advance(account, due, DEFINITION, DECIDED)
        again += fold(account, each, DEFINITION, DECIDED)
    assert again == told
    assert LAYOUTS.encode(account) == LAYOUTS.encode(whole)


@FEW
@given(steps=STEPS)
def test_messages_are_numbered_without_a_gap_and_never_go_back_in_time(steps: list[Step]):
    account, told = folded(history(steps))
    assert [one.seq for one in told] == list(range(1, account.seq + 1))
    assert [one.at for one in told] == sorted(one.at for one in told)
    assert len({one.id for one in told}) == len(told)


@FEW
@given(steps=STEPS)
def test_the_same_history_gives_the_same_messages(steps: list[Step]):
    first, again = folded(history(steps), TWIN), folded(history(steps))
    assert msgspec.json.encode(first[1]) == msgspec.json.encode(again[1])


@FEW
@given(steps=STEPS, data=st.data())
def test_late_events_lead_to_the_same_milestones_and_metrics(steps: list[Step], data: st.DataObject):
    events = [each for each in history(steps) if each.name != "subscription_cancelled"]
    if not events:
        return
    shuffled = data.draw(st.permutations(events))
    orderly, late = folded(events)[0], folded(shuffled)[0]
    assert late.clock == orderly.clock
    assert late.milestones == orderly.milestones
    ours, theirs = snapshot_of(orderly, DEFINITION).metrics, snapshot_of(late, DEFINITION).metrics
    depends_on_order = {"days_in_stage"}
    assert {name: ours[name] for name in ours.keys() - depends_on_order} == {
        name: theirs[name] for name in theirs.keys() - depends_on_order
    }


@FEW
@given(steps=STEPS, data=st.data())
def test_a_late_event_announces_no_milestone_twice(steps: list[Step], data: st.DataObject):
    _, told = folded(data.draw(st.permutations(history(steps))))
    for name in DEFINITION.definition.milestones:
        reached = [one for one in told if isinstance(one, MilestoneReached) and one.milestone == name]
        assert [one.corrected for one in reached] == [False, *[True] * (len(reached) - 1)][: len(reached)]
        dates = [one.reached_at for one in reached]
        assert dates == sorted(set(dates), reverse=True)


@dataclass(frozen=True, slots=True)
class AskingEverything(CompiledDefinition):
    """The definition without its economy: every rule is asked every time."""

    def affected_rules(self, moved: int, stage: str, known_stores: int = EVERYTHING) -> AffectedRules:
        del moved, known_stores
        return CompiledDefinition.affected_rules(self, EVERYTHING, stage, EVERYTHING)


@FEW
@given(steps=STEPS)
def test_asking_only_the_rules_that_something_moved_decides_the_same_as_asking_all(steps: list[Step]):
    everything = AskingEverything(**{field.name: getattr(DEFINITION, field.name) for field in fields(DEFINITION)})
    frugal, told = folded(history(steps))
    thorough, all_told = folded(history(steps), everything)
    assert told == all_told
    assert LAYOUTS.encode(frugal) == LAYOUTS.encode(thorough)


def test_a_state_stays_small_over_years_of_use():
    account = begin("acme", START)
    for day in range(0, 1200, 3):
        for user in range(4):
            fold(
                account,
                event(f"feature_used:f{day}", START + timedelta(days=day, hours=user), day, user=f"u{day}-{user}"),
                DEFINITION,
                DECIDED,
            )
    assert len(LAYOUTS.encode(account)) < 8000


@pytest.mark.parametrize("raw", [b"", b"{", b"null", b"[1]", b'{"score": 1e999}', b'{"score": ' + b"9" * 400 + b"}"])
def test_no_properties_however_odd_stop_the_account(raw: bytes):
    account = begin("acme", START)
    odd = msgspec.structs.replace(event("nps_answered", START), properties=msgspec.Raw(raw))
    fold(account, odd, DEFINITION, DECIDED)
    assert LAYOUTS.decode(LAYOUTS.encode(account)).stage == "onboarding"
    assert snapshot_of(account, DEFINITION).metrics["nps"] is None


@FEW
@given(steps=STEPS, silence=st.integers(1, 60))
def test_whatever_moves_what_is_listed_moves_the_outline(steps: list[Step], silence: int):
    events = history(steps)
    traits = [
        {"name": f"n{day}", "csm": f"c{day}", "plan": f"p{day}", "renewal_at": f"2026-12-{day:02}"} for day in (1, 2)
    ]
    one_by_one = [{name: value} for of_day in traits for name, value in of_day.items()]
    told = [
        event("", each.at, index, type="group", properties=one_by_one[index % len(one_by_one)])
        for index, each in enumerate(events)
    ]
    account = begin("acme", events[0].at)
    stood = outline(account), listed_but_clock(account)
    for each in [one for pair in zip(events, told, strict=True) for one in pair]:
        fold(account, each, DEFINITION, DECIDED)
        stood = held_to(stood, account)
    for day in range(silence):
        advance(account, events[-1].at + timedelta(days=day), DEFINITION, DECIDED)
        stood = held_to(stood, account)


Stood = tuple[tuple[object, ...], dict[str, object]]


def listed_but_clock(account: Account) -> dict[str, object]:
    """The clock is written with every change, whatever else moved."""
    return {name: value for name, value in listed_columns(account).items() if name != "clock"}


def held_to(stood: Stood, account: Account) -> Stood:
    now = outline(account), listed_but_clock(account)
    assert now[0] != stood[0] or now[1] == stood[1], "a row of the list would be out of date"
    return now
