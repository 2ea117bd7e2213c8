"""A late event corrects what is known; what it would have decided otherwise is recorded, once, and nothing is sent for it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from shared.contracts.lifecycle import CorrectedDecision, DecisionCorrected, FlagChanged, SignalRaised, StageChanged
from tests.core.lifecycle.make import START, Scenario, default_definition, definition_from

Make = Callable[[str], Scenario]


@pytest.fixture
def scenario() -> Scenario:
    return Scenario(default_definition())


def corrected(scenario: Scenario) -> list[list[CorrectedDecision]]:
    return [one.decisions for one in scenario.all(DecisionCorrected)]


def names(decisions: list[CorrectedDecision]) -> set[tuple[str, str]]:
    return {(one.decision, one.name) for one in decisions}


def test_use_that_is_told_late_corrects_that_the_account_was_called_quiet(scenario: Scenario) -> None:
    scenario.use(range(3))
    scenario.until(20)
    assert scenario.all(FlagChanged, flag="quiet", raised=True)
    scenario.track(10, "feature_used:report")
    (decisions,) = corrected(scenario)
    assert names(decisions) >= {("flag_raised", "quiet"), ("flag_raised", "at_risk"), ("signal", "gone_quiet")}
    quiet = next(one for one in decisions if one.name == "quiet")
    assert (quiet.stood_at, quiet.would_be_at) == (START + timedelta(days=16), None)


def test_it_names_the_event_and_stands_behind_what_is_decided_now(scenario: Scenario) -> None:
    scenario.use(range(3))
    scenario.until(20)
    told = scenario.track(10, "feature_used:report")
    last = told[-1]
    assert isinstance(last, DecisionCorrected)
    assert (last.event.name, last.event.at) == ("feature_used:report", START + timedelta(days=10, hours=12))
    assert last.at == scenario.here.clock
    assert last.seq == scenario.here.seq


def test_what_would_have_been_decided_and_never_was_is_said(scenario: Scenario) -> None:
    scenario.use(range(3))
    scenario.track(5, "invoice_paid", invoice_id="i1", amount=10)
    scenario.track(4, "invoice_failed", invoice_id="i1", amount=10)
    assert not scenario.all(SignalRaised, signal="payment_failed")
    (decisions,) = corrected(scenario)
    failed = next(one for one in decisions if one.name == "payment_failed")
    assert (failed.stood_at, failed.would_be_at) == (None, START + timedelta(days=4, hours=12))


def test_what_is_decided_late_and_nothing_was_meanwhile_is_as_it_would_have_been(scenario: Scenario) -> None:
    scenario.use(range(3))
    scenario.track(2.9, "invoice_failed", invoice_id="i1", amount=10)
    assert corrected(scenario) == []
    late = Scenario(default_definition())
    late.use(range(3))
    late.track(2.95, "feature_used:report")
    late.track(2.9, "invoice_failed", invoice_id="i1", amount=10)
    kinds = (FlagChanged, SignalRaised, StageChanged)
    assert [type(one) for one in late.decisions if isinstance(one, kinds)] == [
        type(one) for one in scenario.decisions if isinstance(one, kinds)
    ]
    assert corrected(late) == []


def test_an_end_that_is_told_late_would_have_come_earlier(scenario: Scenario) -> None:
    scenario.track(0, "subscription_started", subscription_id="s1")
    scenario.use(range(3))
    scenario.until(20)
    scenario.track(10, "subscription_ended", subscription_id="s1")
    assert scenario.here.stage == "churned"
    (decisions,) = corrected(scenario)
    churned = next(one for one in decisions if one.decision == "stage")
    assert (churned.name, churned.would_be_at) == ("churned", START + timedelta(days=10, hours=12))
    assert churned.stood_at == scenario.here.clock


def test_a_late_event_that_changes_nothing_is_not_said(scenario: Scenario) -> None:
    scenario.use(range(30))
    scenario.decisions.clear()
    scenario.track(20.2, "feature_used:report")
    scenario.track(20.3, "never heard of")
    assert corrected(scenario) == []


def test_events_in_order_correct_nothing(scenario: Scenario) -> None:
    scenario.use(range(3))
    scenario.until(40)
    scenario.use(range(41, 45))
    scenario.track(45, "subscription_ended")
    assert corrected(scenario) == []


DEFINITION = """
events:
  use: {match: [used]}
metrics:
  uses: {kind: count, of: use, days: 7}
milestones:
  busy: {when: [uses >= 3]}
stages: {a: {}, b: {}}
edges:
  - {from: a, to: b, when: [uses <= 1], hold: 5d, reason: "Little use."}
"""


def test_a_hold_that_a_late_event_breaks_and_a_milestone_it_completes(tmp_path: Path) -> None:
    scenario = Scenario(definition_from(tmp_path, DEFINITION))
    scenario.track(0, "used")
    scenario.until(9)
    assert scenario.here.stage == "b"
    scenario.track(1, "used")
    assert [names(each) for each in corrected(scenario)] == [{("stage", "b")}]
    scenario.track(2, "used")
    assert names(corrected(scenario)[-1]) >= {("milestone", "busy")}
