"""Every rule of the shipped definition fires on a history that a company could have."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from services.lifecycle.core.compiled_definition import CompiledDefinition
from shared.contracts.lifecycle import FlagChanged, MilestoneReached, SignalRaised, StageChanged
from tests.core.lifecycle.make import START, Scenario, default_definition

DEFINITION = default_definition()
FEATURES = ("report", "export", "share")


def bought(scenario: Scenario, day: float = 0, **more: object) -> None:
    scenario.track(day, "subscription_started", None, **{"subscription_id": "s1", **more})


def growing(scenario: Scenario, days: range, users: int = 9) -> None:
    """A healthy product: users, features, and value each week."""
    for day in days:
        for user in range(users):
            scenario.track(day, f"feature_used:{FEATURES[user % 3]}", f"u{user}")
        if day % 7 == 3:
            scenario.track(day, "value_delivered", "u1")


def in_retention(scenario: Scenario, until: int = 120) -> None:
    bought(scenario, seats=20)
    growing(scenario, range(until))
    assert scenario.here.stage == "retention"


def adopting(scenario: Scenario) -> None:
    scenario.use(range(20))
    assert scenario.here.stage == "adoption"


def realizing(scenario: Scenario) -> None:
    bought(scenario)
    growing(scenario, range(40))
    assert scenario.here.stage == "value_realization"


def in_expansion(scenario: Scenario) -> None:
    bought(scenario, seats=20)
    growing(scenario, range(90))
    growing(scenario, range(90, 130), users=19)
    assert scenario.here.stage == "expansion"


def in_advocacy(scenario: Scenario) -> None:
    in_retention(scenario, 190)
    for day in range(190, 200):
        growing(scenario, range(day, day + 1))
    scenario.track(200, "nps_answered", "u1", score=10)
    scenario.track(200, "meeting_held")
    growing(scenario, range(201, 203))
    assert scenario.here.stage == "advocacy"


def churned(scenario: Scenario) -> None:
    adopting(scenario)
    bought(scenario, 20)
    scenario.track(21, "subscription_cancelled", subscription_id="s1")


def came_back(scenario: Scenario) -> None:
    churned(scenario)
    bought(scenario, 300, subscription_id="s2")


def set_up_anew(scenario: Scenario) -> None:
    adopting(scenario)
    scenario.track(21, "reimplementation_started")


def fallen_silent(scenario: Scenario) -> None:
    in_retention(scenario)
    scenario.until(200)


def growth_over(scenario: Scenario) -> None:
    in_expansion(scenario)
    growing(scenario, range(130, 215), users=9)


def growth_at_risk(scenario: Scenario) -> None:
    in_expansion(scenario)
    scenario.track(130, "champion_left")
    growing(scenario, range(131, 142), users=19)


def favour_over(scenario: Scenario) -> None:
    in_advocacy(scenario)
    scenario.track(204, "cancellation_requested")


def silent_and_back(scenario: Scenario) -> None:
    adopting(scenario)
    scenario.until(60)
    scenario.use(range(60, 70))


def never_started(scenario: Scenario) -> None:
    bought(scenario)
    scenario.until(20)


def started_late(scenario: Scenario) -> None:
    never_started(scenario)
    scenario.use(range(20, 30))


def left_behind(scenario: Scenario) -> None:
    bought(scenario)
    scenario.until(50)


def renewing(scenario: Scenario) -> None:
    bought(scenario, renewal_at="2026-08-01")
    scenario.use(range(150))


def renewed(scenario: Scenario) -> None:
    renewing(scenario)
    scenario.track(151, "subscription_renewed", subscription_id="s1", renewal_at="2027-08-01")


def few_seats_used(scenario: Scenario) -> None:
    bought(scenario, seats=20)
    scenario.use(range(80))


def few_features_used(scenario: Scenario) -> None:
    scenario.group(0, entitled_features=10)
    scenario.use(range(60))


def no_more_value(scenario: Scenario) -> None:
    bought(scenario)
    scenario.track(1, "value_delivered")
    scenario.track(30, "value_delivered")
    scenario.use(range(60), "ann", name="feature_used:a")
    scenario.track(61, "objective_set")
    scenario.use(range(61, 130))


def limit_near(scenario: Scenario) -> None:
    adopting(scenario)
    scenario.track(21, "limit_measured", share=0.85)


def knocking(scenario: Scenario) -> None:
    adopting(scenario)
    for user in ("ann", "bob", "ann"):
        scenario.track(20, "gated_feature_attempted:sso", user)


def dropping(scenario: Scenario) -> None:
    growing(scenario, range(100))
    scenario.use(range(100, 140))


def champion_gone(scenario: Scenario) -> None:
    adopting(scenario)
    scenario.track(20, "champion_left")


def unpaid(scenario: Scenario) -> None:
    adopting(scenario)
    scenario.track(20, "invoice_failed", invoice_id=1)


def urgent(scenario: Scenario) -> None:
    adopting(scenario)
    scenario.track(20, "ticket_opened", ticket_id=1, priority="urgent")


def unhappy(scenario: Scenario) -> None:
    adopting(scenario)
    scenario.track(20, "nps_answered", score=3)


def noticed(scenario: Scenario) -> None:
    adopting(scenario)
    scenario.track(20, "cancellation_requested")


def reached(scenario: Scenario) -> None:
    adopting(scenario)
    scenario.track(20, "objective_attained")


SCENARIOS: dict[str, Callable[[Scenario], None]] = {
    "*->churned": churned,
    "churned->onboarding": came_back,
    "onboarding->adoption": adopting,
    "adoption->value_realization": realizing,
    "adoption->onboarding": set_up_anew,
    "value_realization|retention->expansion": in_expansion,
    "value_realization->retention": in_retention,
    "expansion->retention": growth_over,
    "expansion cancelled": growth_at_risk,
    "retention->advocacy": in_advocacy,
    "advocacy->retention": favour_over,
    "value_realization|expansion|retention|advocacy->adoption": fallen_silent,
    "at_risk raised": silent_and_back,
    "at_risk cleared": silent_and_back,
    "quiet raised": silent_and_back,
    "quiet cleared": silent_and_back,
    "dormant raised": silent_and_back,
    "dormant cleared": silent_and_back,
    "stalled raised": never_started,
    "stalled cleared": started_late,
    "renewal_window raised": renewing,
    "renewal_window cleared": renewed,
    "milestone_missing": never_started,
    "onboarding_overdue": left_behind,
    "low_utilisation": few_seats_used,
    "feature_unused": few_features_used,
    "objective_attained": reached,
    "value_missing": no_more_value,
    "seat_expansion": in_expansion,
    "limit_approach": limit_near,
    "gated_feature": knocking,
    "usage_drop": dropping,
    "gone_quiet": silent_and_back,
    "champion_left": champion_gone,
    "payment_failed": unpaid,
    "urgent_ticket": urgent,
    "detractor": unhappy,
    "promoter": in_advocacy,
    "churn_risk": noticed,
    "renewal_120": renewing,
    "renewal_75": renewing,
    "renewal_30": renewing,
    "advocate_candidate": in_advocacy,
}


def rules(compiled: CompiledDefinition) -> Iterator[str]:
    yield from (edge.rule.name for edge in compiled.edges)
    for flag in compiled.flags:
        yield from (flag.raise_rule.name, flag.clear_rule.name)
    yield from (signal.name for signal in compiled.signals)


@pytest.mark.parametrize("rule", SCENARIOS)
def test_the_rule_fires_and_says_why(rule: str):
    scenario = Scenario(DEFINITION)
    SCENARIOS[rule](scenario)
    told = [one for kind in (StageChanged, FlagChanged, SignalRaised) for one in scenario.all(kind)]
    fired = [one.evidence for one in told if one.evidence.rule == rule]
    assert fired, [one.evidence.rule for one in told]
    assert all(one.reason and "{" not in one.reason for one in fired)
    assert all(one.events for one in fired), "evidence names the events behind it"
    assert all(one.clauses or "account is churned" in one.reason for one in fired)
    assert all(one.definition == DEFINITION.version for one in fired)


def test_every_rule_of_the_shipped_definition_has_a_scenario():
    assert set(SCENARIOS) == set(rules(DEFINITION))


def test_a_product_that_sends_usage_alone_leaves_onboarding_and_is_seen_to_fall_silent():
    scenario = Scenario(DEFINITION)
    scenario.use(range(30))
    scenario.until(60)
    assert [one.stage for one in scenario.all(StageChanged)] == ["onboarding", "adoption"]
    assert [one.flag for one in scenario.all(FlagChanged, raised=True)] == ["at_risk", "quiet", "dormant"]


def test_a_product_with_usage_and_value_goes_as_far_as_retention():
    scenario = Scenario(DEFINITION)
    growing(scenario, range(100))
    assert [one.stage for one in scenario.all(StageChanged)] == [
        "onboarding",
        "adoption",
        "value_realization",
        "retention",
    ]


def test_an_unused_sign_up_is_not_at_risk_but_stalled():
    scenario = Scenario(DEFINITION)
    bought(scenario)
    scenario.until(60)
    assert list(scenario.here.flags) == ["stalled"]


def test_usage_after_the_cancellation_wakes_nobody():
    scenario = Scenario(DEFINITION)
    churned(scenario)
    scenario.use(range(22, 60))
    assert scenario.here.stage == "churned"


def test_the_three_milestones_everybody_needs_are_there():
    scenario = Scenario(DEFINITION)
    churned(scenario)
    scenario.track(40, "value_delivered")
    reached = {one.milestone: one.reached_at - START for one in scenario.all(MilestoneReached)}
    assert reached["first_use"] == timedelta(hours=12)
    assert reached["cancelled"] == timedelta(days=21, hours=12)
    assert reached["first_value"] == timedelta(days=40, hours=12)


def test_an_urgent_ticket_holds_back_what_is_commercial():
    scenario = Scenario(DEFINITION)
    urgent(scenario)
    scenario.track(21, "limit_measured", share=0.95)
    assert not scenario.all(SignalRaised, signal="limit_approach")
    scenario.track(22, "ticket_closed", ticket_id=1)
    assert scenario.all(SignalRaised, signal="limit_approach")
