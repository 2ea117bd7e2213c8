"""A gap of any length is a jump: only the midnights that can decide anything are looked at, with the result of looking at each."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.evaluation import Evaluation
from services.lifecycle.core.fold import advance, fold
from services.lifecycle.core.state import Account, begin
from services.lifecycle.layouts import LAYOUTS
from shared.contracts.lifecycle import LifecycleMessage
from shared.contracts.usage import UsageEvent
from shared.definitions import DefinitionError
from tests.core.lifecycle.make import DECIDED, START, default_definition, definition_from, event
from tests.core.lifecycle.test_properties import STEPS, Step, history

ODD = """
events:
  use: {match: ["feature_used:*"], feature: {after: ":"}, sets: {renewal_at: renewal_at}}
  answered: {match: [nps_answered]}
  ticket: {match: [ticket_opened]}
metrics:
  uses: {kind: count, of: use, days: 366}
  amount: {kind: sum, of: use, property: count, days: 50}
  active: {kind: active_days, of: use, days: 3}
  users: {kind: active_users, of: use, days: 64}
  pairs: {kind: user_days, of: use, days: 10}
  features: {kind: features, of: use, days: 7}
  trend: {kind: trend, of: use, recent: 5, prior: 20}
  since_use: {kind: days_since, of: use}
  since_first: {kind: days_since, of: use, first: true}
  since_milestone: {kind: days_since_milestone, of: talked}
  nps: {kind: latest, of: answered, property: score, expires: 45d}
  renewal: {kind: days_until, of: renewal_at}
  weeks: {kind: formula, cel: "tenure_days / 7"}
  late: {kind: formula, cel: "since_use >= 100 && renewal < -50.5"}
  share: {kind: formula, cel: "pairs / users"}
milestones:
  talked: {of: answered}
  old: {when: ["tenure_days >= 400.5"]}
  needed: {of: ticket, required: "since_first > 77"}
stages:
  one: {}
  two: {}
  three: {}
  over: {terminal: true}
edges:
  - {from: one, to: two, when: [EDGE], hold: 11d, reason: "{why}"}
  - {from: two, to: three, when: ["days_in_stage >= 0"], min_dwell: 33d, reason: "{why}"}
  - {from: three, to: one, when: ["since_use != 120"], unless: ["since_use < 40"], hold: 3d, min_dwell: 150d, reason: "{why}"}
  - {from: "*", to: over, when: ["tenure_days >= 3000"], reason: "{why}"}
flags:
  quiet: {raise_when: [RAISE], clear_when: [CLEAR], hold: 9d, clear_hold: 2d, reason: "{weeks}"}
  unnamed: {raise_when: ["since_use == 61"], clear_when: ["since_use != 61"], reason: r}
signals:
  late: {when: [SIGNAL], cooldown: 90d, reason: "{why}"}
  missing: {when: ["required_milestones_missing >= 1"], hold: 5d, reason: "{required_milestones_missing}"}
health:
  evaluations: 4
  new_account: 13d
  dimensions:
    use:
      weight: 2
      stale_when: ["since_use > 700"]
      measures:
        a: {metric: users, weight: 1, points: {0: 20, 1: 90}}
        b: {metric: since_use, weight: 2, points: {0: 100, 9.5: 60, 40: 10}}
        c: {metric: share, weight: 1, points: {0: 0, 2: 100}}
        d: {metric: trend, weight: 1, points: {-1: 10, 0: 80}}
    told: {weight: 1, measures: {nps: {metric: nps, weight: 1, points: {0: 0, 8: 100}}}}
  caps:
    quiet: {when: ["renewal <= 3"], max: 40}
"""
CONDITIONS = [
    "since_use >= 30",
    "since_use <= 5",
    "since_use == 44",
    "weeks >= 31.5",
    "tenure_days - since_use > 20",
    "!(tenure_days >= 90)",
    "!quiet == true",
    "tenure_days >= 90 ? renewal < 0 : nps >= 5",
    "10 < tenure_days",
    "late",
    "late == true || active == 0 && tenure_days > 500",
    "uses == 0",
    "amount >= 5",
    "features < 1",
    "trend <= -0.5",
    "nps >= 7",
    "renewal >= -10 && renewal < 10",
    "since_milestone > 29",
    "days_since_progress >= 200",
    'stage == "two"',
    'health_band == "red"',
    "health_score < 45",
    "health_coverage >= 0.5",
    "users >= 1",
    "size(stage) > 3 && double(tenure_days) > 300",
]
FEW = settings(max_examples=80, deadline=None)


def odd(edge: str, raised: str, cleared: str, signal: str) -> CompiledDefinition:
    text = ODD
    for name, condition in {"EDGE": edge, "RAISE": raised, "CLEAR": cleared, "SIGNAL": signal}.items():
        text = text.replace(name, f"'{condition}'")
    try:
        with TemporaryDirectory() as folder:
            return definition_from(Path(folder), text)
    except DefinitionError:  # raised and cleared at the same values
        reject()


DEFINITIONS = st.one_of(st.just(default_definition()), st.builds(odd, *[st.sampled_from(CONDITIONS) for _ in range(4)]))
GAPS = st.lists(st.integers(0, 1500), min_size=1, max_size=4)


def day_by_day(account: Account, until: datetime, compiled: CompiledDefinition) -> Iterator[LifecycleMessage]:
    """Every midnight by itself: one has no gap to jump over."""
    while account.next_due is not None and account.next_due <= until:
        yield from advance(account, account.next_due, compiled, DECIDED)


def with_gaps(steps: list[Step], gaps: list[int]) -> list[UsageEvent]:
    """The steps, with silences of so many days between some."""
    size = max(1, len(steps) // len(gaps))
    longer = dict.fromkeys(range(0, len(steps), size), 0) | {at * size: 24 * gap for at, gap in enumerate(gaps)}
    return history([step._replace(hours=step.hours + longer.get(at, 0)) for at, step in enumerate(steps)])


@FEW
@given(compiled=DEFINITIONS, steps=STEPS, gaps=GAPS, silence=st.integers(0, 4000))
def test_a_jump_is_what_day_by_day_is(
    compiled: CompiledDefinition, steps: list[Step], gaps: list[int], silence: int
) -> None:
    events = with_gaps(steps, gaps)
    jumped, walked = begin("acme", events[0].at), begin("acme", events[0].at)
    for each in events:
        told = list(day_by_day(walked, each.at, compiled)) + fold(walked, each, compiled, DECIDED)
        assert fold(jumped, each, compiled, DECIDED) == told
        assert LAYOUTS.encode(jumped) == LAYOUTS.encode(walked)
    end = events[-1].at + timedelta(days=silence, hours=5)
    assert advance(jumped, end, compiled, DECIDED) == list(day_by_day(walked, end, compiled))
    assert LAYOUTS.encode(jumped) == LAYOUTS.encode(walked)


@FEW
@given(compiled=DEFINITIONS, steps=STEPS, most=st.integers(1, 40), silence=st.integers(0, 3000))
def test_a_jump_in_pieces_is_the_jump(compiled: CompiledDefinition, steps: list[Step], most: int, silence: int) -> None:
    events = history(steps)
    whole, pieces = begin("acme", events[0].at), begin("acme", events[0].at)
    for each in events:
        assert fold(whole, each, compiled, DECIDED) == fold(pieces, each, compiled, DECIDED)
    end, told = events[-1].at + timedelta(days=silence), []
    while pieces.next_due is not None and pieces.next_due <= end:
        told += advance(pieces, end, compiled, DECIDED, most)
    assert told == advance(whole, end, compiled, DECIDED)
    assert LAYOUTS.encode(pieces) == LAYOUTS.encode(whole)


class Counted:
    """A definition that counts the midnights it is asked about."""

    def __init__(self, compiled: CompiledDefinition) -> None:
        self.compiled = compiled
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.compiled, name)

    def affected_rules(self, moved: int, stage: str, known_stores: int) -> Any:
        self.asked += 1
        return self.compiled.affected_rules(moved, stage, known_stores)


@pytest.mark.parametrize("year", [1970, 1999])
def test_decades_of_silence_are_a_few_hundred_midnights(year: int) -> None:
    counted, born = Counted(default_definition()), datetime(year, 1, 1, tzinfo=UTC)
    account = begin("acme", born)
    compiled: Any = counted
    told = fold(account, event("feature_used:report", born), compiled, DECIDED)
    told += fold(account, event("feature_used:report", START, 1), compiled, DECIDED)
    assert account.clock == START
    assert any(message.at.year == year for message in told)
    assert counted.asked < 300


def test_a_rule_that_no_one_can_read_ahead_is_asked_every_day() -> None:
    compiled = odd("tenure_days - since_use > 20", "late", "late == false", "late")
    account = begin("acme", START)
    fold(account, event("feature_used:report", START), compiled, DECIDED)
    assert compiled.quiet_days.next_busy_day(Evaluation(account, compiled.metrics, DECIDED)) == START.toordinal() + 1


@pytest.mark.parametrize("days", [64, 70, 100, 400])
def test_members_are_forgotten_in_a_jump_as_they_are_day_by_day(days: int) -> None:
    compiled = default_definition()
    jumped, walked = begin("acme", START), begin("acme", START)
    for account in (jumped, walked):
        fold(account, event("feature_used:report", START, user="ann"), compiled, DECIDED)
    until = START + timedelta(days=days)
    assert advance(jumped, until, compiled, DECIDED) == list(day_by_day(walked, until, compiled))
    assert LAYOUTS.encode(jumped) == LAYOUTS.encode(walked)


@pytest.mark.parametrize("dwell", [200, 201])
def test_a_dwell_and_a_number_that_is_met_once_are_not_jumped_over(tmp_path: Path, dwell: int) -> None:
    compiled = definition_from(
        tmp_path,
        "events: {use: {match: [used]}}\n"
        "metrics: {since_use: {kind: days_since, of: use}}\nmilestones: {}\nstages: {one: {}, two: {}}\n"
        f"edges: [{{from: one, to: two, when: ['since_use >= 3'], min_dwell: {dwell}d, reason: r}}]\n"
        "signals: {once: {when: ['since_use == 150'], reason: r}, other: {when: ['since_use != 150'], reason: r}}\n",
    )
    account = begin("acme", START)
    told = fold(account, event("used", START), compiled, DECIDED)
    told += advance(account, START + timedelta(days=500), compiled, DECIDED)
    days = {(message.at - START).days for message in told}
    assert days == {0, 150, 151, dwell}
