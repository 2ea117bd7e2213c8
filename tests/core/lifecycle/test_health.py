"""The health score is what a person would compute by hand from the file."""

from pathlib import Path

import pytest

from services.lifecycle.core.explain import health_detail
from shared.contracts.lifecycle import HealthChanged, SignalRaised
from tests.core.lifecycle.make import Scenario, definition_from

TEXT = """
events:
  use: {match: [use]}
  nps: {match: [nps]}
  paid: {match: [paid]}
metrics:
  uses: {kind: count, of: use, days: 7}
  silence: {kind: days_since, of: use}
  nps: {kind: latest, of: nps, property: score}
  money: {kind: latest, of: paid, property: amount}
milestones: {}
stages: {a: {}}
edges: []
signals:
  red: {when: [health_band == "red"], reason: "Health {health_score}."}
health:
  new_account: 10d
  dimensions:
    usage:
      weight: 30
      stale_when: [silence > 20]
      measures:
        level: {metric: uses, weight: 3, points: {0: 0, 1: 40, 5: 100}}
        recency: {metric: silence, weight: 1, points: {0: 100, 3: 20}}
    voice:
      weight: 10
      measures:
        nps: {metric: nps, weight: 1, points: {0: 0, 7: 50, 9: 100}}
        money: {metric: money, weight: 1, points: {0: 100}}
  caps:
    unhappy: {when: [nps <= 6], max: 60}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    return Scenario(definition_from(tmp_path, TEXT))


def score(scenario: Scenario) -> float | None:
    return scenario.here.health.score


def bands(scenario: Scenario) -> list[tuple[str, str]]:
    return [(one.previous, one.band) for one in scenario.all(HealthChanged)]


def test_a_new_account_has_no_score(scenario: Scenario):
    scenario.use(range(9), name="use")
    assert (score(scenario), scenario.here.health.band) == (None, "unknown")


def test_what_is_missing_gives_its_weight_to_the_others(scenario: Scenario):
    scenario.use(range(12), name="use")
    # midnight of day 11: 6 uses in the 7 days before and none yet today; silence 1: (3*100 + 1*100) / 4, voice missing
    assert score(scenario) == 100
    assert scenario.here.health.coverage == 0.75
    scenario.track(12, "nps", score=7)
    scenario.track(12, "use")
    scenario.until(13)
    # voice 50 (money missing): (30*100 + 10*50) / 40
    assert score(scenario) == 87.5
    assert scenario.here.health.coverage == 0.875


def test_points_are_those_of_the_greatest_bound_reached(scenario: Scenario):
    scenario.use(range(12), name="use")
    scenario.until(16)
    # day 16: uses on 10 and 11 -> 40 points, silence 5 -> 20 points: (3*40 + 20) / 4
    assert score(scenario) == 35


def test_a_stale_dimension_is_missing_and_too_little_known_is_unknown(scenario: Scenario):
    scenario.use(range(12), name="use")
    scenario.until(31)
    assert scenario.here.health.band == "red"
    scenario.until(32)
    assert scenario.here.health.band == "unknown"
    assert (score(scenario), scenario.here.health.coverage) == (None, 0)


def test_a_cap_binds_while_its_conditions_hold(scenario: Scenario):
    scenario.use(range(12), name="use")
    scenario.track(12, "use")
    scenario.track(12, "nps", score=6)
    scenario.until(13)
    # (30*100 + 10*0) / 40 = 75, capped
    assert score(scenario) == 60


def test_the_first_known_band_comes_at_once_and_the_next_after_three_evaluations(scenario: Scenario):
    scenario.use(range(12), name="use")
    assert bands(scenario) == [("unknown", "green")]
    scenario.until(15)
    assert score(scenario) == 35, "red already on day 14 and 15"
    assert bands(scenario) == [("unknown", "green")]
    scenario.until(18)
    assert bands(scenario) == [("unknown", "green"), ("green", "red")]


def test_a_band_is_left_downwards_only_five_points_below_its_bound(scenario: Scenario):
    health = scenario.compiled.health
    assert health is not None
    assert health.band(75, "yellow") == "green"
    assert health.band(70, "green") == "green"
    assert health.band(69.9, "green") == "yellow"
    assert health.band(50, "red") == "yellow"
    assert health.band(45, "yellow") == "yellow"
    assert health.band(44.9, "green") == "red"
    assert health.band(49, "unknown") == "red"


def test_a_change_of_band_names_every_measure_with_its_points(scenario: Scenario):
    scenario.use(range(12), name="use")
    scenario.until(20)
    changed = scenario.all(HealthChanged)[-1]
    told = {clause.text: (clause.values, clause.satisfied) for clause in changed.evidence.clauses}
    assert told["usage.level"] == ({"uses": 2, "points": 40, "weight": 3}, True)
    assert told["voice.nps"] == ({"nps": None, "points": None, "weight": 1}, False)
    assert told["cap unhappy"] == ({"nps": None}, False)
    assert changed.evidence.reason == f"Health is red at {changed.score:g} of 100; 75% of the score's weight had data."
    assert [ref.name for ref in changed.evidence.events] == ["use"] * 5


def test_rules_read_the_health_of_the_same_midnight(scenario: Scenario):
    scenario.use(range(12), name="use")
    scenario.until(20)
    (signal,) = scenario.all(SignalRaised)
    change = scenario.all(HealthChanged)[-1]
    assert (signal.at, signal.seq) == (change.at, change.seq + 1)


def test_the_detail_shows_the_same_score_as_the_account(scenario: Scenario):
    scenario.use(range(12), name="use")
    detail = health_detail(scenario.here, scenario.compiled)
    assert (detail.score, detail.band) == (100, "green")
    assert len(detail.clauses) == 5
