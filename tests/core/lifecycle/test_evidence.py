"""Evidence: a person can check a decision by hand from what the message carries."""

from datetime import timedelta

from services.lifecycle.core.explain import clearing, diagram, snapshot_of, standing
from services.lifecycle.core.state import unpack
from shared.contracts.lifecycle import FlagChanged, MilestoneReached, SignalRaised, StageChanged
from shared.ids import derived
from tests.core.lifecycle.make import DECIDED, START, Scenario, default_definition

DEFINITION = default_definition()


def onboarded() -> Scenario:
    scenario = Scenario(DEFINITION)
    scenario.group(0, name="Acme", seats=4)
    scenario.use(range(3), "ann", "bob")
    scenario.track(3, "user_invited")
    scenario.track(3, "value_delivered")
    scenario.use(range(3, 9), "ann", "bob")
    scenario.until(11)
    return scenario


def test_a_transition_shows_its_clauses_with_values_and_thresholds():
    scenario = onboarded()
    why = scenario.all(StageChanged, stage="adoption")[0].evidence
    clauses = {clause.text: clause for clause in why.clauses}
    assert why.rule == "onboarding->adoption"
    assert clauses["required_milestones_missing == 0"].values == {"required_milestones_missing": 0}
    assert clauses["seat_utilisation >= 0.1"].values == {"seat_utilisation": 0.5}
    assert clauses["seat_utilisation >= 0.1"].threshold == 0.1
    assert clauses["seat_utilisation >= 0.1"].satisfied
    assert clauses["active_days_28d >= 10"].satisfied is False
    assert clauses["active_days_28d >= 10"].values == {"active_days_28d": 9}


def test_a_raised_flag_says_what_would_clear_it():
    scenario = onboarded()
    assert clearing(scenario.account, DEFINITION) == []
    scenario.until(40)
    found = {one.flag: one for one in clearing(scenario.account, DEFINITION)}
    assert found.keys() == {*scenario.account.flags} >= {"at_risk", "quiet"}
    risk = found["at_risk"]
    clauses = {clause.text: clause.satisfied for clause in risk.clauses}
    assert (risk.holds, risk.hold_days) == (False, 3)
    assert clauses["days_since_core_use <= 7"] is False
    assert clauses["not (nps <= 6)"] is True


def test_a_transition_with_a_hold_says_since_when():
    scenario = onboarded()
    moved = scenario.all(StageChanged, stage="adoption")[0]
    assert moved.evidence.since == START + timedelta(days=3, hours=12)
    assert moved.at == START + timedelta(days=11)


def test_a_transition_names_at_most_five_events_the_latest_behind_its_metrics():
    scenario = onboarded()
    refs = scenario.all(StageChanged, stage="adoption")[0].evidence.events
    assert len(refs) == 5
    assert [(ref.name, (ref.at - START).days) for ref in refs] == [
        ("feature_used:report", 6),
        ("feature_used:report", 7),
        ("feature_used:report", 7),
        ("feature_used:report", 8),
        ("feature_used:report", 8),
    ]


def test_silence_names_the_last_use_before_it():
    scenario = onboarded()
    scenario.until(60)
    raised = scenario.all(FlagChanged, flag="at_risk")[0].evidence
    assert raised.reason == "At risk: time since core use is 14 days (14 days or more)."
    assert raised.events[-1].at == START + timedelta(days=8, hours=12)


def test_a_reason_reads_as_a_sentence_with_the_values_in_it():
    scenario = onboarded()
    scenario.until(60)
    assert scenario.all(SignalRaised, signal="gone_quiet")[0].evidence.reason == "No core use for 14 days."


def test_a_guard_stands_in_the_evidence_as_what_did_not_hold():
    scenario = onboarded()
    scenario.track(12, "limit_measured", share=0.9)
    clauses = scenario.all(SignalRaised, signal="limit_approach")[0].evidence.clauses
    assert ("not (open_urgent_tickets >= 1)", True) in [(clause.text, clause.satisfied) for clause in clauses]


def test_a_milestone_names_the_event_that_reached_it():
    scenario = onboarded()
    (first,) = scenario.all(MilestoneReached, milestone="first_value")
    assert [ref.name for ref in first.evidence.events] == ["value_delivered"]
    assert "first" in first.evidence.reason.lower()


def test_a_late_event_stands_in_its_place_among_the_references():
    scenario = Scenario(DEFINITION)
    for day in (1, 2, 3, 9):
        scenario.track(day, "invoice_failed", invoice_id=day)
    scenario.track(5, "invoice_failed", invoice_id=5)
    scenario.track(0.1, "invoice_failed", invoice_id=0)
    recent = scenario.here.recent_events["invoice_failed"]
    assert [unpack(packed).id for packed in recent] == ["e1", "e2", "e3", "e5", "e4"]


def test_the_snapshot_is_the_account_just_after_the_decision():
    scenario = onboarded()
    shot = scenario.all(StageChanged, stage="adoption")[0].snapshot
    assert (shot.stage, shot.entered_at) == ("adoption", START + timedelta(days=11))
    assert shot.traits == {"name": "Acme", "seats": 4}
    assert shot.metrics["days_in_stage"] == 0
    assert shot.metrics["active_users_28d"] == 2
    assert shot.metrics["nps"] is None
    assert set(shot.milestones) == {"first_use", "first_value", "invited_team"}


def test_messages_are_numbered_without_a_gap_and_named_by_their_number():
    scenario = onboarded()
    assert [one.seq for one in scenario.decisions] == list(range(1, len(scenario.decisions) + 1))
    assert {one.id for one in scenario.decisions} == {
        derived("lifecycle", "acme", one.seq) for one in scenario.decisions
    }
    assert all(one.decided_at == DECIDED for one in scenario.decisions)


def test_standing_tells_what_is_between_the_account_and_its_next_stage():
    scenario = onboarded()
    before = scenario.here.seq
    edges = {one.rule: one for one in standing(scenario.here, DEFINITION)}
    assert set(edges) == {"*->churned", "adoption->value_realization", "adoption->onboarding"}
    ahead = edges["adoption->value_realization"]
    assert ahead.holds
    assert (ahead.hold_days, ahead.dwell_days, ahead.days_in_stage) == (14, 14, 0)
    assert ahead.since == START + timedelta(days=11)
    assert not edges["adoption->onboarding"].holds
    assert scenario.here.seq == before


def test_the_snapshot_of_an_account_can_be_asked_for_at_any_time():
    scenario = onboarded()
    assert snapshot_of(scenario.here, DEFINITION).stage == "adoption"


def test_the_diagram_is_drawn_from_the_edges():
    text = diagram(DEFINITION)
    assert text.startswith("stateDiagram-v2\n    [*] --> onboarding\n")
    assert "    onboarding --> adoption: held 7 d\n" in text
    assert "    expansion --> retention: expansion cancelled, held 7 d\n" in text
    assert "    advocacy --> churned: at once\n" in text
    assert "churned --> churned" not in text
