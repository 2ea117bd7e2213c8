"""Transitions, flags and signals fire when they should, once, and in order."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from shared.contracts.lifecycle import (
    ClockAdvanced,
    ContactChanged,
    FactObserved,
    FlagChanged,
    MilestoneReached,
    SignalRaised,
    StageChanged,
)
from shared.contracts.usage import HISTORY_ENDED
from tests.core.lifecycle.world import START, World, definition_from, event

HEAD = """
events:
  use: {match: [use]}
  go: {match: [go]}
  back: {match: [back]}
  ended: {match: [ended]}
  started: {match: [started]}
  left: {match: [left]}
facts: [go]
removes_user: left
metrics:
  uses: {kind: count, of: use, days: 7}
  users: {kind: active_users, of: use, days: 7}
  gone: {kind: count, of: go, days: 2}
  backs: {kind: count, of: back, days: 2}
  silence: {kind: days_since, of: use}
  subscriptions: {kind: open, opened: [started], closed: [ended]}
milestones:
  first_use: {of: use}
  busy: {when: [uses >= 5]}
stages: {a: {}, b: {}, c: {}, done: {terminal: true}}
"""
EDGES = """
edges:
  - {from: "*", to: done, when: [subscriptions == 0], reason: Ended.}
  - {from: done, to: a, when: [subscriptions >= 1], reason: Again.}
  - {from: a, to: b, when: [gone >= 1], reason: "Gone {gone}."}
  - {from: b, to: c, when: [uses >= 3], hold: 2d, min_dwell: 3d, reason: "Used {uses} times."}
  - {from: b, to: a, when: [backs >= 1], reason: Back.}
"""
Make = Callable[[str], World]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(definition_from(tmp_path, HEAD + EDGES))


@pytest.fixture
def with_rules(tmp_path: Path) -> Make:
    return lambda text: World(definition_from(tmp_path, HEAD + text))


def stages(world: World) -> list[str]:
    return [one.stage for one in world.all(StageChanged)]


def test_the_first_event_puts_the_account_into_the_first_stage(world: World):
    world.track(0, "anything")
    (first,) = world.decisions
    assert isinstance(first, StageChanged)
    assert (first.previous, first.stage, first.seq) == (None, "a", 1)
    assert [ref.name for ref in first.evidence.events] == ["anything"]


def test_an_edge_without_hold_fires_with_the_event_that_makes_it_true(world: World):
    world.track(0, "use")
    world.track(1, "go")
    assert stages(world) == ["a", "b"]
    assert world.all(StageChanged)[-1].at == START + timedelta(days=1, hours=12)


def test_an_edge_with_hold_fires_at_the_first_midnight_after_the_conditions_held_that_long(world: World):
    world.track(0, "go")
    world.use(range(5), name="use")
    world.until(10)
    moved = world.all(StageChanged)[-1]
    assert moved.stage == "c"
    assert moved.evidence.since == START + timedelta(days=2, hours=12)
    assert moved.at == START + timedelta(days=5), "held since noon of day 2: two whole days are over on day 5"


def test_a_hold_starts_again_when_the_conditions_break(with_rules: Make):
    world = with_rules(
        "edges:\n  - {from: a, to: b, when: [uses >= 1], unless: [backs >= 1], hold: 3d, reason: r}\n"
        "  - {from: b, to: c, when: [gone >= 9], reason: r}\n"
        '  - {from: "*", to: done, when: [subscriptions == 0], reason: Ended.}\n'
    )
    world.track(0, "use")
    world.track(1, "back")
    world.use(range(2, 6), name="use")
    world.until(20)
    moved = world.all(StageChanged, stage="b")[0]
    assert moved.evidence.since == START + timedelta(days=3), "the break ends with day 2"
    assert moved.at == START + timedelta(days=6)


def test_min_dwell_waits_in_the_stage_even_when_the_conditions_held_longer(world: World):
    world.use(range(6), name="use")
    world.track(6, "go")
    world.use(range(7, 20), name="use")
    assert world.all(StageChanged)[-1].at == START + timedelta(days=10), "three whole days after noon of day 6"


def test_edges_fire_in_a_chain_each_with_its_own_evidence(with_rules: Make):
    world = with_rules(
        "edges:\n  - {from: a, to: b, when: [uses >= 1], reason: one}\n"
        "  - {from: b, to: c, when: [users >= 1], reason: two}\n"
        "  - {from: c, to: done, when: [gone >= 1], reason: three}\n"
    )
    world.track(0, "use")
    assert stages(world) == ["a", "b", "c"]
    assert [one.evidence.reason for one in world.all(StageChanged)[1:]] == ["one", "two"]


def test_two_edges_that_hold_at_once_do_not_play_ping_pong(world: World):
    world.track(0, "use")
    world.track(1, "go")
    world.track(1.6, "back")
    assert stages(world) == ["a", "b", "a"], "gone still holds, but this instant has seen b"
    world.until(2)
    assert stages(world) == ["a", "b", "a", "b"], "and so has the next instant, once"


def test_of_two_edges_the_first_in_the_file_fires(with_rules: Make):
    world = with_rules(
        "edges:\n  - {from: a, to: c, when: [gone >= 1], reason: r}\n"
        "  - {from: a, to: b, when: [gone >= 1], reason: r}\n"
        "  - {from: a, to: done, when: [gone >= 1], reason: r}\n"
    )
    world.track(0, "go")
    assert stages(world) == ["a", "c"]


def test_an_account_whose_subscription_ended_has_no_ticks_and_comes_back(world: World):
    world.track(0, "started")
    world.track(1, "ended")
    assert stages(world) == ["a", "done"]
    assert world.here.next_due is None
    assert world.until(400) == []
    world.track(500, "use")
    assert stages(world) == ["a", "done"], "use alone does not bring a customer back"
    world.track(501, "started")
    assert stages(world) == ["a", "done", "a"]
    assert world.here.next_due == START + timedelta(days=502)


def test_a_late_end_moves_the_account_now(world: World):
    world.track(0, "started")
    world.track(9, "use")
    world.track(5, "ended")
    moved = world.all(StageChanged)[-1]
    assert (moved.stage, moved.at) == ("done", START + timedelta(days=9, hours=12))


def test_a_late_event_moves_a_milestone_back_and_says_so(world: World):
    world.track(5, "use")
    world.track(3, "use")
    world.track(4, "use")
    first, corrected = world.all(MilestoneReached, milestone="first_use")
    assert (first.corrected, corrected.corrected) == (False, True)
    assert corrected.reached_at == START + timedelta(days=3, hours=12)
    assert corrected.at == START + timedelta(days=5, hours=12), "decided at the account's clock"
    assert corrected.evidence.events[0].at == corrected.reached_at


def test_a_milestone_on_conditions_is_reached_once(world: World):
    for day in (0, 0, 0, 0, 0, 0, 20, 20, 20, 20, 20):
        world.track(day, "use")
    (busy,) = world.all(MilestoneReached, milestone="busy")
    assert busy.evidence.clauses[0].values == {"uses": 5}


FLAG = """
edges:
  - {from: a, to: b, when: [quiet], reason: r}
  - {from: b, to: c, when: [gone >= 9], reason: r}
  - {from: "*", to: done, when: [subscriptions == 0], reason: Ended.}
flags:
  quiet: {raise_when: [silence >= 5], clear_when: [uses >= 2], clear_hold: 1d, reason: "Silent for {silence} days."}
"""


def test_a_flag_is_raised_by_silence_and_cleared_by_other_conditions(with_rules: Make):
    world = with_rules(FLAG)
    world.track(0, "use")
    world.until(9)
    (raised,) = world.all(FlagChanged)
    assert (raised.raised, raised.at) == (True, START + timedelta(days=5))
    assert raised.evidence.reason == "Silent for 5 days."
    assert [ref.at for ref in raised.evidence.events] == [START + timedelta(hours=12)]
    world.track(10, "use")
    assert len(world.all(FlagChanged)) == 1
    world.track(11, "use")
    world.until(13)
    assert [one.raised for one in world.all(FlagChanged)] == [True, False]


def test_an_edge_may_read_a_flag(with_rules: Make):
    world = with_rules(FLAG)
    world.track(0, "use")
    world.until(9)
    flag, moved = world.all(FlagChanged)[0], world.all(StageChanged)[-1]
    assert (moved.stage, moved.at, moved.seq) == ("b", flag.at, flag.seq + 1)


def test_an_account_that_ended_has_no_flags(with_rules: Make):
    world = with_rules(FLAG)
    world.track(0, "use")
    world.track(6, "started")
    world.track(7, "ended")
    assert [one.raised for one in world.all(FlagChanged)] == [True, False]
    assert not world.here.flags


SIGNAL = """
edges:
  - {from: a, to: b, when: [gone >= 9], reason: r}
  - {from: b, to: c, when: [gone >= 9], reason: r}
  - {from: "*", to: done, when: [subscriptions == 0], reason: Ended.}
signals:
  growth: {when: [users >= 2], cooldown: 10d, reason: "{users} users."}
"""


def test_a_signal_is_announced_once_for_as_long_as_it_lasts(with_rules: Make):
    world = with_rules(SIGNAL)
    world.use(range(40), "ann", "bob", name="use")
    assert len(world.all(SignalRaised)) == 1


def test_a_signal_that_comes_again_within_its_rest_waits_for_its_end(with_rules: Make):
    world = with_rules(SIGNAL)
    world.use(range(1), "ann", "bob", name="use")
    world.use(range(8, 14), "ann", "bob", name="use")
    assert [one.at for one in world.all(SignalRaised)] == [
        START + timedelta(hours=12),
        START + timedelta(days=11),
    ]


def test_a_signal_that_was_over_when_its_rest_ended_stays_silent(with_rules: Make):
    world = with_rules(SIGNAL)
    world.use(range(1), "ann", "bob", name="use")
    world.use(range(8, 9), "ann", "bob", name="use")
    world.until(9)
    world.use(range(9, 30), name="use")
    assert [one.at.day for one in world.all(SignalRaised)] == [2, 13]
    assert len(world.all(SignalRaised)) == 2, "users of day 8 still counted on day 11"


def test_a_signal_without_rest_is_announced_each_time_it_comes_also_on_one_day(with_rules: Make):
    world = with_rules(
        SIGNAL.replace("when: [users >= 2], cooldown: 10d", "when: [subscriptions >= 1]")
        .replace("{users} users", "x")
        .replace("when: [subscriptions == 0]", "when: [gone >= 9]")
    )
    for hour, name in enumerate(["started", "ended", "started", "ended"]):
        world.track(0.25 + hour / 24, name)
    assert len(world.all(SignalRaised)) == 2


def test_what_happened_while_the_account_had_ended_is_seen_when_it_comes_back(with_rules: Make):
    world = with_rules(
        FLAG.replace("silence >= 5", "backs >= 1").replace(
            "flags:", "  - {from: done, to: a, when: [subscriptions >= 1], reason: Again.}\nflags:"
        )
    )
    for day, name in enumerate(["started", "ended", "back", "started"]):
        world.track(day / 4 + 0.1, name)
    assert [one.flag for one in world.all(FlagChanged, raised=True)] == ["quiet"]


def test_identify_tells_a_contact_when_it_changes_and_only_then(world: World):
    world.identify(0, "ann", email="ann@acme.test", role="admin", plan="x")
    world.identify(1, "ann", email="ann@acme.test")
    world.identify(2, "ann", role="owner", unsubscribed=True)
    world.identify(1.5, "ann", role="old", name="Ann")
    world.identify(3, None)
    told = [(one.email, one.role, one.name, one.unsubscribed) for one in world.all(ContactChanged)]
    assert told == [
        ("ann@acme.test", "admin", None, False),
        ("ann@acme.test", "owner", None, True),
        ("ann@acme.test", "owner", "Ann", True),
    ]


def test_a_user_who_left_is_gone_and_no_longer_active(world: World):
    world.identify(0, "ann", email="ann@acme.test")
    world.use(range(1, 2), "ann", "bob", name="use")
    assert world.metric("users") == 2
    world.track(2, "left", "ann")
    assert [one.gone for one in world.all(ContactChanged)] == [False, True]
    assert world.metric("users") == 1
    assert not world.here.contacts


def test_a_fact_is_forwarded_with_its_scalars(world: World):
    world.track(0, "go", "ann", score=9, why="great", deep={"a": 1}, many=[1, 2])
    (fact,) = world.all(FactObserved)
    assert (fact.fact, fact.event, fact.user) == ("go", "e1", "ann")
    assert fact.properties == {"score": 9, "why": "great", "many": 2}


def test_properties_that_are_no_object_are_no_properties(world: World):
    world.send(0, "go", properties=[1, 2])
    assert world.all(FactObserved)[0].properties == {}


def test_an_alias_or_an_unknown_event_starts_an_account_and_does_nothing_else(world: World):
    world.send(0, "", type="alias")
    assert len(world.decisions) == 1
    assert world.track(1, "never heard of") == []


def test_history_holds_the_account_until_its_marker_or_a_live_event(world: World):
    world.send(0, "use", history="import")
    assert world.here.replaying
    assert all(one.history for one in world.decisions)
    world.send(3, HISTORY_ENDED, history="import", properties={"live": False})
    assert world.here.replaying
    assert world.here.clock == START + timedelta(days=3, hours=12)
    (ended,) = world.all(ClockAdvanced)
    assert (ended.live, ended.history) == (False, True)
    world.track(4, "go")
    assert not world.here.replaying
    assert not world.decisions[-1].history


def test_the_end_of_history_may_hand_the_account_to_the_wall_clock(world: World):
    world.send(0, "use", history="import")
    world.send(3, HISTORY_ENDED, history="import", properties={"live": True})
    assert not world.here.replaying
    assert world.all(ClockAdvanced)[0].live


def test_timers_due_before_the_end_of_history_fire_as_history(with_rules: Make):
    world = with_rules(FLAG)
    world.send(0, "use", history="import")
    world.send(30, HISTORY_ENDED, history="import", properties={"live": True})
    (raised,) = world.all(FlagChanged)
    assert (raised.at, raised.history) == (START + timedelta(days=5), True)


def test_the_end_of_a_history_nobody_saw_says_nothing(world: World):
    assert world.send(0, HISTORY_ENDED, history="import") == []


def test_at_midnight_the_tick_comes_before_the_event(with_rules: Make):
    world = with_rules(FLAG)
    for days in (0, 5):
        world.fold(event("use", START + timedelta(days=days), days))
    assert [(one.raised, one.at) for one in world.all(FlagChanged)] == [(True, START + timedelta(days=5))]
