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
from tests.core.lifecycle.make import START, Scenario, definition_from, event

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
Make = Callable[[str], Scenario]


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    return Scenario(definition_from(tmp_path, HEAD + EDGES))


@pytest.fixture
def with_rules(tmp_path: Path) -> Make:
    return lambda text: Scenario(definition_from(tmp_path, HEAD + text))


def stages(scenario: Scenario) -> list[str]:
    return [one.stage for one in scenario.all(StageChanged)]


def test_the_first_event_puts_the_account_into_the_first_stage(scenario: Scenario):
    scenario.track(0, "anything")
    (first,) = scenario.decisions
    assert isinstance(first, StageChanged)
    assert (first.previous, first.stage, first.seq) == (None, "a", 1)
    assert [ref.name for ref in first.evidence.events] == ["anything"]


def test_an_edge_without_hold_fires_with_the_event_that_makes_it_true(scenario: Scenario):
    scenario.track(0, "use")
    scenario.track(1, "go")
    assert stages(scenario) == ["a", "b"]
    assert scenario.all(StageChanged)[-1].at == START + timedelta(days=1, hours=12)


def test_an_edge_with_hold_fires_at_the_first_midnight_after_the_conditions_held_that_long(scenario: Scenario):
    scenario.track(0, "go")
    scenario.use(range(5), name="use")
    scenario.until(10)
    moved = scenario.all(StageChanged)[-1]
    assert moved.stage == "c"
    assert moved.evidence.since == START + timedelta(days=2, hours=12)
    assert moved.at == START + timedelta(days=5), "held since noon of day 2: two whole days are over on day 5"


def test_a_hold_starts_again_when_the_conditions_break(with_rules: Make):
    scenario = with_rules(
        "edges:\n  - {from: a, to: b, when: [uses >= 1], unless: [backs >= 1], hold: 3d, reason: r}\n"
        "  - {from: b, to: c, when: [gone >= 9], reason: r}\n"
        '  - {from: "*", to: done, when: [subscriptions == 0], reason: Ended.}\n'
    )
    scenario.track(0, "use")
    scenario.track(1, "back")
    scenario.use(range(2, 6), name="use")
    scenario.until(20)
    moved = scenario.all(StageChanged, stage="b")[0]
    assert moved.evidence.since == START + timedelta(days=3), "the break ends with day 2"
    assert moved.at == START + timedelta(days=6)


def test_min_dwell_waits_in_the_stage_even_when_the_conditions_held_longer(scenario: Scenario):
    scenario.use(range(6), name="use")
    scenario.track(6, "go")
    scenario.use(range(7, 20), name="use")
    assert scenario.all(StageChanged)[-1].at == START + timedelta(days=10), "three whole days after noon of day 6"


def test_edges_fire_in_a_chain_each_with_its_own_evidence(with_rules: Make):
    scenario = with_rules(
        "edges:\n  - {from: a, to: b, when: [uses >= 1], reason: one}\n"
        "  - {from: b, to: c, when: [users >= 1], reason: two}\n"
        "  - {from: c, to: done, when: [gone >= 1], reason: three}\n"
    )
    scenario.track(0, "use")
    assert stages(scenario) == ["a", "b", "c"]
    assert [one.evidence.reason for one in scenario.all(StageChanged)[1:]] == ["one", "two"]


def test_two_edges_that_hold_at_once_do_not_play_ping_pong(scenario: Scenario):
    scenario.track(0, "use")
    scenario.track(1, "go")
    scenario.track(1.6, "back")
    assert stages(scenario) == ["a", "b", "a"], "gone still holds, but this instant has seen b"
    scenario.until(2)
    assert stages(scenario) == ["a", "b", "a", "b"], "and so has the next instant, once"


def test_of_two_edges_the_first_in_the_file_fires(with_rules: Make):
    scenario = with_rules(
        "edges:\n  - {from: a, to: c, when: [gone >= 1], reason: r}\n"
        "  - {from: a, to: b, when: [gone >= 1], reason: r}\n"
        "  - {from: a, to: done, when: [gone >= 1], reason: r}\n"
    )
    scenario.track(0, "go")
    assert stages(scenario) == ["a", "c"]


def test_an_account_whose_subscription_ended_has_no_ticks_and_comes_back(scenario: Scenario):
    scenario.track(0, "started")
    scenario.track(1, "ended")
    assert stages(scenario) == ["a", "done"]
    assert scenario.here.next_due is None
    assert scenario.until(400) == []
    scenario.track(500, "use")
    assert stages(scenario) == ["a", "done"], "use alone does not bring a customer back"
    scenario.track(501, "started")
    assert stages(scenario) == ["a", "done", "a"]
    assert scenario.here.next_due == START + timedelta(days=502)


def test_a_late_end_moves_the_account_now(scenario: Scenario):
    scenario.track(0, "started")
    scenario.track(9, "use")
    scenario.track(5, "ended")
    moved = scenario.all(StageChanged)[-1]
    assert (moved.stage, moved.at) == ("done", START + timedelta(days=9, hours=12))


def test_a_late_event_moves_a_milestone_back_and_says_so(scenario: Scenario):
    scenario.track(5, "use")
    scenario.track(3, "use")
    scenario.track(4, "use")
    first, corrected = scenario.all(MilestoneReached, milestone="first_use")
    assert (first.corrected, corrected.corrected) == (False, True)
    assert corrected.reached_at == START + timedelta(days=3, hours=12)
    assert corrected.at == START + timedelta(days=5, hours=12), "decided at the account's clock"
    assert corrected.evidence.events[0].at == corrected.reached_at


def test_a_milestone_on_conditions_is_reached_once(scenario: Scenario):
    for day in (0, 0, 0, 0, 0, 0, 20, 20, 20, 20, 20):
        scenario.track(day, "use")
    (busy,) = scenario.all(MilestoneReached, milestone="busy")
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
    scenario = with_rules(FLAG)
    scenario.track(0, "use")
    scenario.until(9)
    (raised,) = scenario.all(FlagChanged)
    assert (raised.raised, raised.at) == (True, START + timedelta(days=5))
    assert raised.evidence.reason == "Silent for 5 days."
    assert [ref.at for ref in raised.evidence.events] == [START + timedelta(hours=12)]
    scenario.track(10, "use")
    assert len(scenario.all(FlagChanged)) == 1
    scenario.track(11, "use")
    scenario.until(13)
    assert [one.raised for one in scenario.all(FlagChanged)] == [True, False]


def test_an_edge_may_read_a_flag(with_rules: Make):
    scenario = with_rules(FLAG)
    scenario.track(0, "use")
    scenario.until(9)
    flag, moved = scenario.all(FlagChanged)[0], scenario.all(StageChanged)[-1]
    assert (moved.stage, moved.at, moved.seq) == ("b", flag.at, flag.seq + 1)


def test_an_account_that_ended_has_no_flags(with_rules: Make):
    scenario = with_rules(FLAG)
    scenario.track(0, "use")
    scenario.track(6, "started")
    scenario.track(7, "ended")
    assert [one.raised for one in scenario.all(FlagChanged)] == [True, False]
    assert not scenario.here.flags


SIGNAL = """
edges:
  - {from: a, to: b, when: [gone >= 9], reason: r}
  - {from: b, to: c, when: [gone >= 9], reason: r}
  - {from: "*", to: done, when: [subscriptions == 0], reason: Ended.}
signals:
  growth: {when: [users >= 2], cooldown: 10d, reason: "{users} users."}
"""


def test_a_signal_is_announced_once_for_as_long_as_it_lasts(with_rules: Make):
    scenario = with_rules(SIGNAL)
    scenario.use(range(40), "ann", "bob", name="use")
    assert len(scenario.all(SignalRaised)) == 1


def test_a_signal_that_comes_again_within_its_rest_waits_for_its_end(with_rules: Make):
    scenario = with_rules(SIGNAL)
    scenario.use(range(1), "ann", "bob", name="use")
    scenario.use(range(8, 14), "ann", "bob", name="use")
    assert [one.at for one in scenario.all(SignalRaised)] == [
        START + timedelta(hours=12),
        START + timedelta(days=11),
    ]


def test_a_signal_that_was_over_when_its_rest_ended_stays_silent(with_rules: Make):
    scenario = with_rules(SIGNAL)
    scenario.use(range(1), "ann", "bob", name="use")
    scenario.use(range(8, 9), "ann", "bob", name="use")
    scenario.until(9)
    scenario.use(range(9, 30), name="use")
    assert [one.at.day for one in scenario.all(SignalRaised)] == [2, 13]
    assert len(scenario.all(SignalRaised)) == 2, "users of day 8 still counted on day 11"


def test_a_signal_without_rest_is_announced_each_time_it_comes_also_on_one_day(with_rules: Make):
    scenario = with_rules(
        SIGNAL.replace("when: [users >= 2], cooldown: 10d", "when: [subscriptions >= 1]")
        .replace("{users} users", "x")
        .replace("when: [subscriptions == 0]", "when: [gone >= 9]")
    )
    for hour, name in enumerate(["started", "ended", "started", "ended"]):
        scenario.track(0.25 + hour / 24, name)
    assert len(scenario.all(SignalRaised)) == 2


def test_what_happened_while_the_account_had_ended_is_seen_when_it_comes_back(with_rules: Make):
    scenario = with_rules(
        FLAG.replace("silence >= 5", "backs >= 1").replace(
            "flags:", "  - {from: done, to: a, when: [subscriptions >= 1], reason: Again.}\nflags:"
        )
    )
    for day, name in enumerate(["started", "ended", "back", "started"]):
        scenario.track(day / 4 + 0.1, name)
    assert [one.flag for one in scenario.all(FlagChanged, raised=True)] == ["quiet"]


def test_identify_tells_a_contact_when_it_changes_and_only_then(scenario: Scenario):
    scenario.identify(0, "ann", email="ann@acme.test", role="admin", plan="x")
    scenario.identify(1, "ann", email="ann@acme.test")
    scenario.identify(2, "ann", role="owner", unsubscribed=True)
    scenario.identify(1.5, "ann", role="old", name="Ann")
    scenario.identify(3, None)
    told = [(one.email, one.role, one.name, one.unsubscribed) for one in scenario.all(ContactChanged)]
    assert told == [
        ("ann@acme.test", "admin", None, False),
        ("ann@acme.test", "owner", None, True),
        ("ann@acme.test", "owner", "Ann", True),
    ]


def test_a_user_who_left_is_gone_and_no_longer_active(scenario: Scenario):
    scenario.identify(0, "ann", email="ann@acme.test")
    scenario.use(range(1, 2), "ann", "bob", name="use")
    assert scenario.metric("users") == 2
    scenario.track(2, "left", "ann")
    assert [one.gone for one in scenario.all(ContactChanged)] == [False, True]
    assert scenario.metric("users") == 1
    assert not scenario.here.contacts


def test_a_fact_is_forwarded_with_its_scalars(scenario: Scenario):
    scenario.track(0, "go", "ann", score=9, why="great", deep={"a": 1}, many=[1, 2])
    (fact,) = scenario.all(FactObserved)
    assert (fact.fact, fact.event, fact.user) == ("go", "e1", "ann")
    assert fact.properties == {"score": 9, "why": "great", "many": 2}


def test_properties_that_are_no_object_are_no_properties(scenario: Scenario):
    scenario.send(0, "go", properties=[1, 2])
    assert scenario.all(FactObserved)[0].properties == {}


def test_an_alias_or_an_unknown_event_starts_an_account_and_does_nothing_else(scenario: Scenario):
    scenario.send(0, "", type="alias")
    assert len(scenario.decisions) == 1
    assert scenario.track(1, "never heard of") == []


def test_history_holds_the_account_until_its_marker_or_a_live_event(scenario: Scenario):
    scenario.send(0, "use", history="import")
    assert scenario.here.replaying
    assert all(one.history for one in scenario.decisions)
    scenario.send(3, HISTORY_ENDED, history="import", properties={"live": False})
    assert scenario.here.replaying
    assert scenario.here.clock == START + timedelta(days=3, hours=12)
    (ended,) = scenario.all(ClockAdvanced)
    assert (ended.live, ended.history) == (False, True)
    scenario.track(4, "go")
    assert not scenario.here.replaying
    assert not scenario.decisions[-1].history


def test_the_first_live_event_hands_the_account_to_the_wall_clock(scenario: Scenario):
    scenario.send(0, "use", history="import")
    scenario.track(4, "go")
    (live,) = scenario.all(ClockAdvanced)
    assert (live.live, live.history) == (True, False)
    scenario.send(5, "use", history="import")
    assert not scenario.here.replaying


@pytest.mark.parametrize("day", [-30, 5])
def test_an_import_onto_a_live_account_tells_of_its_past_and_holds_nothing(with_rules: Make, day: float):
    scenario = with_rules(FLAG)
    scenario.track(0, "use")
    scenario.decisions.clear()
    scenario.send(day, "use", history="import")
    ended = scenario.send(6, HISTORY_ENDED, history="import", properties={"live": False})
    assert not scenario.here.replaying
    assert scenario.here.next_due
    assert not any(isinstance(one, ClockAdvanced) for one in ended)
    assert not any(one.history for one in scenario.decisions)


def test_what_an_import_decides_about_a_live_account_says_so_and_what_time_decides_does_not(scenario: Scenario):
    scenario.track(0, "use")
    decided = scenario.send(2, "go", history="import")
    assert [one.imported for one in decided if isinstance(one, StageChanged)] == [True]
    assert not any(one.imported for one in scenario.track(3, "stop"))


def test_the_end_of_history_may_hand_the_account_to_the_wall_clock(scenario: Scenario):
    scenario.send(0, "use", history="import")
    scenario.send(3, HISTORY_ENDED, history="import", properties={"live": True})
    assert not scenario.here.replaying
    assert scenario.all(ClockAdvanced)[0].live


def test_timers_due_before_the_end_of_history_fire_as_history(with_rules: Make):
    scenario = with_rules(FLAG)
    scenario.send(0, "use", history="import")
    scenario.send(30, HISTORY_ENDED, history="import", properties={"live": True})
    (raised,) = scenario.all(FlagChanged)
    assert (raised.at, raised.history) == (START + timedelta(days=5), True)


def test_the_end_of_a_history_nobody_saw_says_nothing(scenario: Scenario):
    assert scenario.send(0, HISTORY_ENDED, history="import") == []


def test_at_midnight_the_tick_comes_before_the_event(with_rules: Make):
    scenario = with_rules(FLAG)
    for days in (0, 5):
        scenario.fold(event("use", START + timedelta(days=days), days))
    assert [(one.raised, one.at) for one in scenario.all(FlagChanged)] == [(True, START + timedelta(days=5))]
