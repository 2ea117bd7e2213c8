"""Every rule of the shipped definition fires on a history that a company could have."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from services.lifecycle.core.compiled_definition import CompiledDefinition
from shared.contracts.lifecycle import FlagChanged, MilestoneReached, SignalRaised, StageChanged
from tests.core.lifecycle.world import START, World, default_definition

DEFINITION = default_definition()
FEATURES = ("report", "export", "share")


def bought(world: World, day: float = 0, **more: object) -> None:
    world.track(day, "subscription_started", None, **{"subscription_id": "s1", **more})


def growing(world: World, days: range, users: int = 9) -> None:
    """A healthy product: users, features, and value each week."""
    for day in days:
        for user in range(users):
            world.track(day, f"feature_used:{FEATURES[user % 3]}", f"u{user}")
        if day % 7 == 3:
            world.track(day, "value_delivered", "u1")


def in_retention(world: World, until: int = 120) -> None:
    bought(world, seats=20)
    growing(world, range(until))
    assert world.here.stage == "retention"


def adopting(world: World) -> None:
    world.use(range(20))
    assert world.here.stage == "adoption"


def realizing(world: World) -> None:
    bought(world)
    growing(world, range(40))
    assert world.here.stage == "value_realization"


def in_expansion(world: World) -> None:
    bought(world, seats=20)
    growing(world, range(90))
    growing(world, range(90, 130), users=19)
    assert world.here.stage == "expansion"


def in_advocacy(world: World) -> None:
    in_retention(world, 190)
    for day in range(190, 200):
        growing(world, range(day, day + 1))
    world.track(200, "nps_answered", "u1", score=10)
    world.track(200, "meeting_held")
    growing(world, range(201, 203))
    assert world.here.stage == "advocacy"


def churned(world: World) -> None:
    adopting(world)
    bought(world, 20)
    world.track(21, "subscription_cancelled", subscription_id="s1")


def came_back(world: World) -> None:
    churned(world)
    bought(world, 300, subscription_id="s2")


def set_up_anew(world: World) -> None:
    adopting(world)
    world.track(21, "reimplementation_started")


def fallen_silent(world: World) -> None:
    in_retention(world)
    world.until(200)


def growth_over(world: World) -> None:
    in_expansion(world)
    growing(world, range(130, 215), users=9)


def growth_at_risk(world: World) -> None:
    in_expansion(world)
    world.track(130, "champion_left")
    growing(world, range(131, 142), users=19)


def favour_over(world: World) -> None:
    in_advocacy(world)
    world.track(204, "ticket_opened", ticket_id=1, priority="urgent")


def silent_and_back(world: World) -> None:
    adopting(world)
    world.until(60)
    world.use(range(60, 70))


def never_started(world: World) -> None:
    bought(world)
    world.until(20)


def started_late(world: World) -> None:
    never_started(world)
    world.use(range(20, 30))


def left_behind(world: World) -> None:
    bought(world)
    world.until(50)


def renewing(world: World) -> None:
    bought(world, renewal_at="2026-08-01")
    world.use(range(150))


def renewed(world: World) -> None:
    renewing(world)
    world.track(151, "subscription_renewed", subscription_id="s1", renewal_at="2027-08-01")


def few_seats_used(world: World) -> None:
    bought(world, seats=20)
    world.use(range(80))


def few_features_used(world: World) -> None:
    world.group(0, entitled_features=10)
    world.use(range(60))


def no_more_value(world: World) -> None:
    bought(world)
    world.track(1, "value_delivered")
    world.track(30, "value_delivered")
    world.use(range(60), "ann", name="feature_used:a")
    world.track(61, "objective_set")
    world.use(range(61, 130))


def limit_near(world: World) -> None:
    adopting(world)
    world.track(21, "limit_measured", share=0.85)


def knocking(world: World) -> None:
    adopting(world)
    for user in ("ann", "bob", "ann"):
        world.track(20, "gated_feature_attempted:sso", user)


def dropping(world: World) -> None:
    growing(world, range(100))
    world.use(range(100, 140))


def champion_gone(world: World) -> None:
    adopting(world)
    world.track(20, "champion_left")


def unpaid(world: World) -> None:
    adopting(world)
    world.track(20, "invoice_failed", invoice_id=1)


def urgent(world: World) -> None:
    adopting(world)
    world.track(20, "ticket_opened", ticket_id=1, priority="urgent")


def unhappy(world: World) -> None:
    adopting(world)
    world.track(20, "nps_answered", score=3)


def noticed(world: World) -> None:
    adopting(world)
    world.track(20, "cancellation_requested")


def reached(world: World) -> None:
    adopting(world)
    world.track(20, "objective_attained")


SCENARIOS: dict[str, Callable[[World], None]] = {
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
    world = World(DEFINITION)
    SCENARIOS[rule](world)
    told = [one for kind in (StageChanged, FlagChanged, SignalRaised) for one in world.all(kind)]
    fired = [one.evidence for one in told if one.evidence.rule == rule]
    assert fired, [one.evidence.rule for one in told]
    assert all(one.reason and "{" not in one.reason for one in fired)
    assert all(one.events for one in fired), "evidence names the events behind it"
    assert all(one.clauses or "account is churned" in one.reason for one in fired)
    assert all(one.definition == DEFINITION.version for one in fired)


def test_every_rule_of_the_shipped_definition_has_a_scenario():
    assert set(SCENARIOS) == set(rules(DEFINITION))


def test_a_product_that_sends_usage_alone_leaves_onboarding_and_is_seen_to_fall_silent():
    world = World(DEFINITION)
    world.use(range(30))
    world.until(60)
    assert [one.stage for one in world.all(StageChanged)] == ["onboarding", "adoption"]
    assert [one.flag for one in world.all(FlagChanged, raised=True)] == ["at_risk", "dormant"]


def test_a_product_with_usage_and_value_goes_as_far_as_retention():
    world = World(DEFINITION)
    growing(world, range(100))
    assert [one.stage for one in world.all(StageChanged)] == [
        "onboarding",
        "adoption",
        "value_realization",
        "retention",
    ]


def test_an_unused_sign_up_is_not_at_risk_but_stalled():
    world = World(DEFINITION)
    bought(world)
    world.until(60)
    assert list(world.here.flags) == ["stalled"]


def test_usage_after_the_cancellation_wakes_nobody():
    world = World(DEFINITION)
    churned(world)
    world.use(range(22, 60))
    assert world.here.stage == "churned"


def test_the_three_milestones_everybody_needs_are_there():
    world = World(DEFINITION)
    churned(world)
    world.track(40, "value_delivered")
    reached = {one.milestone: one.reached_at - START for one in world.all(MilestoneReached)}
    assert reached["first_use"] == timedelta(hours=12)
    assert reached["cancelled"] == timedelta(days=21, hours=12)
    assert reached["first_value"] == timedelta(days=40, hours=12)


def test_an_urgent_ticket_holds_back_what_is_commercial():
    world = World(DEFINITION)
    urgent(world)
    world.track(21, "limit_measured", share=0.95)
    assert not world.all(SignalRaised, signal="limit_approach")
    world.track(22, "ticket_closed", ticket_id=1)
    assert world.all(SignalRaised, signal="limit_approach")
