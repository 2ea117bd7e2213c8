"""Every kind of metric says what its name says, also after late events."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core.lifecycle.world import World, definition_from

HEAD = """
events:
  use: {match: ["use", "use:*"], feature: {after: ":", property: feature}}
  paid: {match: [paid], sets: {seats: seats}}
  opened: {match: [opened]}
  closed: {match: [closed]}
milestones:
  first_use: {of: use, required: true}
  invited: {of: paid, required: seats > 1}
stages: {here: {}}
edges: []
metrics:
  seats: {kind: trait, of: seats}
"""

Make = Callable[[str], World]


@pytest.fixture
def measuring(tmp_path: Path) -> Make:
    """A world that measures one metric, called it."""

    def make(metric: str) -> World:
        return World(definition_from(tmp_path, HEAD + f"  it: {metric}\n"))

    return make


def test_count_is_todays_and_the_days_before_in_the_window(measuring: Make):
    world = measuring("{kind: count, of: use, days: 3}")
    for day in (0, 0, 1, 2):
        world.track(day, "use")
    assert world.metric("it") == 4
    world.until(3)
    assert world.metric("it") == 2
    world.until(9)
    assert world.metric("it") == 0


def test_count_weighs_an_event_that_stands_for_several(measuring: Make):
    world = measuring("{kind: count, of: use, days: 3, weight: count}")
    world.track(0, "use", count=5)
    world.track(0, "use")
    world.track(0, "use", count="many")
    assert world.metric("it") == 7


def test_a_late_event_counts_on_its_own_day(measuring: Make):
    world = measuring("{kind: count, of: use, days: 3}")
    world.track(5, "use")
    world.track(3, "use")
    world.track(2, "use")
    assert world.metric("it") == 2
    world.until(6)
    assert world.metric("it") == 1


def test_a_late_event_older_than_every_window_counts_nowhere(measuring: Make):
    world = measuring("{kind: count, of: use, days: 3}")
    world.track(50, "use")
    world.track(1, "use")
    assert world.metric("it") == 1
    assert len(world.here.series["amount:use::1"].days) == 1


def test_day_buckets_are_kept_no_longer_than_the_longest_window(measuring: Make):
    world = measuring("{kind: count, of: use, days: 3}")
    world.use(range(40), name="use")
    assert world.here.series["amount:use::1"].days == [1, 1, 1]


def test_sum_adds_a_property_and_ignores_what_is_no_number(measuring: Make):
    world = measuring("{kind: sum, of: paid, property: amount, days: 7}")
    for amount in (10.5, 4, "free", None, True, 1e300):
        world.track(1, "paid", amount=amount)
    assert world.metric("it") == 14.5


def test_active_days_counts_a_day_once(measuring: Make):
    world = measuring("{kind: active_days, of: use, days: 7}")
    for day in (0, 0, 3, 3, 5):
        world.track(day, "use")
    assert world.metric("it") == 3
    world.track(4, "use")
    assert world.metric("it") == 4
    world.until(7)
    assert world.metric("it") == 3


def test_active_users_counts_people_and_one_pseudo_user_for_the_account(measuring: Make):
    world = measuring("{kind: active_users, of: use, days: 7}")
    for user in ("ann", "bob", "ann", None, None):
        world.track(0, "use", user)
    assert world.metric("it") == 3
    world.track(5, "use", "bob")
    world.until(8)
    assert world.metric("it") == 1


def test_a_late_event_of_a_user_never_makes_them_less_recent(measuring: Make):
    world = measuring("{kind: active_users, of: use, days: 3}")
    world.track(10, "use", "ann")
    world.track(2, "use", "ann")
    assert world.metric("it") == 1
    world.track(9, "use", "bob")
    assert world.metric("it") == 2
    world.until(12)
    assert world.metric("it") == 1


def test_user_days_counts_each_user_once_a_day_also_late(measuring: Make):
    world = measuring("{kind: user_days, of: use, days: 7}")
    for day, user in ((0, "ann"), (0, "ann"), (0, "bob"), (3, "ann"), (1, "ann"), (1, "ann"), (3, "ann")):
        world.track(day, "use", user)
    assert world.metric("it") == 4


def test_a_user_whose_bitmap_is_empty_is_dropped(measuring: Make):
    world = measuring("{kind: active_users, of: use, days: 28}")
    world.track(0, "use", "ann")
    world.track(30, "use", "bob")
    world.until(75)
    assert list(world.here.active_members["users:use"].members) == ["bob"]
    world.until(200)
    assert not world.here.active_members["users:use"].members


def test_features_are_told_by_name_by_property_or_by_the_whole_name(measuring: Make):
    world = measuring("{kind: features, of: use, days: 7}")
    world.track(0, "use:report")
    world.track(1, "use:report")
    world.track(1, "use:export")
    world.track(1, "use", feature="export")
    world.track(1, "use", feature="share")
    world.track(1, "use", feature=7)
    assert world.metric("it") == 3


def test_features_have_a_limit_that_invented_names_cannot_pass(measuring: Make):
    world = measuring("{kind: features, of: use, days: 7}")
    for number in range(600):
        world.track(0, f"use:{number}")
    assert world.metric("it") == 500


def test_days_since_is_unknown_before_the_first_event(measuring: Make):
    world = measuring("{kind: days_since, of: use}")
    world.group(0, name="Acme")
    assert world.metric("it") is None
    world.track(1, "use")
    world.until(11)
    assert world.metric("it") == 10
    world.track(4, "use")
    assert world.metric("it") == 7


def test_days_since_first_moves_back_with_a_late_event(measuring: Make):
    world = measuring("{kind: days_since, of: use, first: true}")
    world.track(5, "use")
    world.track(9, "use")
    assert world.metric("it") == 4
    world.track(2, "use")
    assert world.metric("it") == 7


def test_days_since_milestone_counts_from_the_day_it_was_reached(measuring: Make):
    world = measuring("{kind: days_since_milestone, of: first_use}")
    world.track(2, "paid")
    assert world.metric("it") is None
    world.track(3, "use")
    world.until(7)
    assert world.metric("it") == 4


def test_latest_is_the_latest_by_time_and_expires(measuring: Make):
    world = measuring("{kind: latest, of: paid, property: score, expires: 10d}")
    world.track(5, "paid", score=9)
    world.track(3, "paid", score=2)
    world.track(6, "paid")
    assert world.metric("it") == 9
    world.until(14)
    assert world.metric("it") == 9
    world.until(15)
    assert world.metric("it") is None


def test_latest_may_be_a_word(measuring: Make):
    world = measuring("{kind: latest, of: paid, property: how}")
    world.track(0, "paid", how="card")
    assert world.metric("it") == "card"


def test_open_without_key_is_opened_minus_closed_and_never_below_zero(measuring: Make):
    world = measuring("{kind: open, opened: [opened], closed: [closed]}")
    world.track(0, "use")
    assert world.metric("it") is None
    world.track(0, "closed")
    assert world.metric("it") == 0
    world.track(0, "opened")
    world.track(0, "opened")
    assert world.metric("it") == 1


def test_open_with_key_follows_each_ticket_in_whatever_order_it_arrives(measuring: Make):
    world = measuring("{kind: open, opened: [opened], closed: [closed], key: ticket}")
    world.track(1, "opened", ticket=1)
    world.track(1, "opened", ticket=1)
    world.track(2, "opened", ticket=2)
    assert world.metric("it") == 2
    world.track(5, "closed", ticket=3)
    world.track(4, "opened", ticket=3)
    world.track(6, "closed", ticket=1)
    assert world.metric("it") == 1


def test_open_with_key_remembers_no_more_than_its_limit(measuring: Make):
    world = measuring("{kind: open, opened: [opened], closed: [closed], key: ticket}")
    world.track(0, "opened", ticket="first")
    for number in range(700):
        world.track(1, "opened", ticket=number)
        world.track(1, "closed", ticket=number)
    assert len(world.here.open_items["open:it"]) == 500
    assert world.metric("it") == 1


def test_trait_comes_from_group_calls_and_from_events_that_set_it(measuring: Make):
    world = measuring("{kind: trait, of: seats}")
    world.group(1, seats=10)
    assert world.metric("it") == 10
    world.track(2, "paid", seats=25)
    assert world.metric("it") == 25
    world.group(1.5, seats=3)
    assert world.metric("it") == 25, "an older trait wins over no newer one"
    world.group(3, seats=["a", "b"])
    assert world.metric("it") == 2, "a list counts as its length"


def test_traits_have_a_limit_in_number_and_size(measuring: Make):
    world = measuring("{kind: trait, of: seats}")
    world.group(0, **{f"t{number}": "x" * 5000 for number in range(300)}, nested={"a": 1})
    assert len(world.here.traits) == 100
    assert all(len(str(told.value)) <= 200 for told in world.here.traits.values())


@pytest.mark.parametrize("told", ["2026-03-12", "2026-03-12T23:30:00+02:00", 1773273600])
def test_days_until_reads_dates_moments_and_seconds(measuring: Make, told: object):
    world = measuring("{kind: days_until, of: renewal_at}")
    world.group(0, renewal_at=told)
    assert world.metric("it") == 10
    world.until(12)
    assert world.metric("it") == -2


@pytest.mark.parametrize("told", ["soon", True, 1e18])
def test_days_until_what_is_no_date_is_unknown(measuring: Make, told: object):
    world = measuring("{kind: days_until, of: renewal_at}")
    world.group(0, renewal_at=told)
    assert world.metric("it") is None


def test_trend_is_unknown_until_both_windows_have_passed(measuring: Make):
    world = measuring("{kind: trend, of: use, recent: 7, prior: 14}")
    world.use(range(21), name="use")
    assert world.metric("it") is None
    world.track(21, "use")
    assert world.metric("it") == 0


def test_trend_compares_the_rates_of_the_two_windows(measuring: Make):
    world = measuring("{kind: trend, of: use, recent: 7, prior: 14}")
    world.use(range(28), name="use")
    world.until(31)
    # days 25..31 hold 3 events in 7 days, days 11..24 hold 14 in 14
    assert world.metric("it") == pytest.approx(3 / 7 - 1)


def test_trend_without_anything_before_is_unknown(measuring: Make):
    world = measuring("{kind: trend, of: use, recent: 7, prior: 14}")
    world.track(0, "use")
    world.track(60, "use")
    assert world.metric("it") is None


def test_formula_is_unknown_where_an_input_is(measuring: Make):
    world = measuring("{kind: formula, cel: seats / 4}")
    world.track(0, "use")
    assert world.metric("it") is None
    world.group(0, seats=10)
    assert world.metric("it") == 2.5


def test_formula_divided_by_zero_is_unknown(measuring: Make):
    world = measuring("{kind: formula, cel: 4 / seats}")
    world.group(0, seats=0)
    assert world.metric("it") is None


def test_formula_may_decide(measuring: Make):
    world = measuring("{kind: formula, cel: 'seats > 5 ? 1 : 0'}")
    world.group(0, seats=10)
    assert world.metric("it") == 1


def test_a_milestone_required_on_a_condition_is_missing_only_while_it_holds(measuring: Make):
    world = measuring("{kind: formula, cel: required_milestones_missing * 1}")
    world.track(0, "use")
    assert world.metric("it") == 0
    world.group(0, seats=5)
    assert world.metric("it") == 1
    world.track(1, "paid")
    assert world.metric("it") == 0


def test_tenure_and_days_in_stage_count_from_the_first_event(measuring: Make):
    world = measuring("{kind: formula, cel: tenure_days - days_in_stage}")
    world.track(3, "use")
    world.until(10)
    assert (world.metric("tenure_days"), world.metric("days_in_stage")) == (7, 7)
    world.track(1, "use")
    assert world.metric("it") == 2, "a late event makes the account older, not its stage"


def test_where_looks_into_the_properties(tmp_path: Path):
    text = HEAD.replace("{match: [opened]}", "{match: [opened], where: level >= 3 && kind == 'bug'}")
    world = World(definition_from(tmp_path, text + "  it: {kind: count, of: opened, days: 7}\n"))
    for level, kind in ((3, "bug"), (1, "bug"), (9, "wish"), (None, "bug")):
        world.track(0, "opened", level=level, kind=kind)
    world.track(0, "opened")
    assert world.metric("it") == 1


def test_a_view_is_matched_by_its_kind_and_name(tmp_path: Path):
    text = HEAD.replace("match: [opened]", 'match: ["page:Pricing", "screen:*"]')
    world = World(definition_from(tmp_path, text + "  it: {kind: count, of: opened, days: 7}\n"))
    for kind, name in (("page", "Pricing"), ("page", "Home"), ("screen", "Any"), ("track", "Pricing")):
        world.send(0, name, type=kind)
    assert world.metric("it") == 2


def test_invented_event_names_do_not_fill_the_memory(measuring: Make):
    world = measuring("{kind: count, of: use, days: 7}")
    for number in range(10_050):
        world.track(0, f"invented {number}")
    assert len(world.compiled.router.routes) == 50
